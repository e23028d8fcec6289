"""The exception tree: every failure that a user can cause or mend is a LipsyncError with a sentence that says how."""


class LipsyncError(Exception):
    """Something failed in a way that a user can understand: what, where, found against expected, what to do."""


class UsageError(LipsyncError):
    """The command or request is malformed (exit code 2)."""


class ConfigError(LipsyncError):
    """A setting is unknown or out of range; names the nearest known one."""


class MediaError(LipsyncError):
    """A file is not media, is broken, or holds no picture or sound where one is needed; names file and time."""


class NoFaceError(LipsyncError):
    """No usable face was found; names file and time."""


class FaceChoiceError(NoFaceError):
    """Several faces could be meant and none was chosen; says how to choose."""


class SpeechError(LipsyncError):
    """Sound holds no usable speech, or a script no speakable character."""


class VoiceError(LipsyncError):
    """A voice is unknown or its engine failed; names the known ones."""


class DatasetError(LipsyncError):
    """A dataset is missing, malformed or too small; names file and line."""


class CheckpointError(LipsyncError):
    """Weights are missing, corrupt, or of another base; names both."""


class ConsentError(LipsyncError):
    """The person's consent record is missing or does not cover the request."""


class PersonError(LipsyncError):
    """A person is unknown or already there, or their folder or archive is not what it should be."""


class Cancelled(LipsyncError):
    """The user stopped the job; what was finished is kept."""
