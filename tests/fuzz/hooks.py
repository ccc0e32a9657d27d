"""What schemathesis cannot know of the API by itself."""
import schemathesis


@schemathesis.serializer("application/partial-upload")
def partial_upload(ctx, value):
    """A part of a file is bytes as they are."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """No disk has room for what a size may be; 507 is right then, and says nothing of the node."""
    if case.path.endswith("/uploads") and isinstance(case.body, dict) and isinstance(case.body.get("size"), int):
        case.body["size"] %= 1 << 24
