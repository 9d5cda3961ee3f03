"""What goes wrong with a report."""

__all__ = ["ReportError"]


class ReportError(RuntimeError):
    """A report cannot be made; the message says what came, what was wanted and what helps."""
