"""Request bodies and answers as pydantic models: they check requests and are the OpenAPI schemas.

The description of a request's field completes "FIELD must be …", the text of its error.
"""
