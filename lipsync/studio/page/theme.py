"""How the page looks: one accent colour, system fonts (nothing is fetched), readable on a phone, light and dark."""

import gradio as gr

CSS = """
.gradio-container > main { max-width: 1080px !important; margin: 0 auto !important; }
.gradio-container button[role="tab"][aria-selected="true"] { color: var(--primary-700); font-weight: 600; }
.dark .gradio-container button[role="tab"][aria-selected="true"] { color: var(--primary-300); }
#head h1 { font-size: 1.7rem; margin: 0.4rem 0 0; letter-spacing: -0.02em; }
#head p { margin: 0.1rem 0 0; color: var(--body-text-color-subdued); }
.grid-container { grid-template-columns: repeat(auto-fill, minmax(96px, 132px)) !important; }
.label-wrap > span { text-align: left; }
#stop { align-self: center; }
.card { border: 1px solid var(--border-color-primary); border-left: 4px solid var(--primary-500);
  border-radius: 10px; padding: 0.7rem 1rem; background: var(--background-fill-secondary); }
.card p { margin: 0.15rem 0 0; overflow-wrap: anywhere; }
.card.done { border-left-color: #15803d; } .card.failed { border-left-color: #b91c1c; }
.card.stopped { border-left-color: #a16207; }
.card .bar { height: 8px; border-radius: 4px; background: var(--border-color-primary);
  margin-top: 0.5rem; overflow: hidden; }
.card .bar i { display: block; height: 100%; background: var(--primary-500); transition: width 0.6s; }
.card .bar.unknown i { width: 30% !important; animation: slide 1.6s infinite alternate ease-in-out; }
@keyframes slide { from { margin-left: 0; } to { margin-left: 70%; } }
@media (prefers-reduced-motion: reduce) { .card .bar.unknown i { animation: none; } }
.curve { width: 240px; max-width: 100%; height: 44px; margin-top: 0.5rem; display: block; }
.curve polyline { fill: none; stroke: var(--primary-500); stroke-width: 1.6; }
.faint { color: var(--body-text-color-subdued); font-size: 0.9em; }
.empty { border: 1px dashed var(--border-color-primary); border-radius: 10px; padding: 1.2rem; text-align: center;
  color: var(--body-text-color-subdued); }
@media (max-width: 560px) {
  .gradio-container .tab-container button { padding: 0.4rem 0.3rem !important; font-size: 0.82rem !important; }
  .gradio-container > main { padding-left: 0.5rem !important; padding-right: 0.5rem !important; }
}
.scroll { max-height: 22rem; overflow: auto; }
table.plain { border-collapse: collapse; width: 100%; margin: 0.4rem 0; border: none !important; }
table.plain tr, table.plain th, table.plain td { border-width: 0 0 1px 0 !important; background: none !important;
  border-color: var(--border-color-primary) !important; padding: 0.3rem 0.5rem !important; }
table.plain th, table.plain td { text-align: left; overflow-wrap: break-word; }
table.plain th { font-weight: 600; }
table.plain td:first-child { min-width: 5.5rem; }
"""


def theme() -> gr.themes.Base:
    """The page's theme."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
    )
