"""The provider used when no key is set: OpenAI's wire format, in process, offline and free.

Enter at `transport.LocalTransport` (in process) or `asgi.application` (over HTTP); both share
`handler.handle_request`.
"""
