"""What the OpenAPI document says beyond the types: every operation's refusals, and examples."""

from typing import Any

from ninja import NinjaAPI, Schema
from ninja.openapi.schema import OpenAPISchema

METHODS = {"get", "post", "put", "patch", "delete"}


class Error(Schema):
    """Every refusal. `retry_after` is in seconds."""

    error_type: str
    message: str
    retry_after: int | None


REFUSALS = {
    401: ("authentication", "No or no valid key or session", None),
    403: ("authentication", "The key lacks the scope, or the CSRF token is missing", None),
    404: ("not_found", "Missing, or not yours to see", None),
    409: ("duplicate", "In conflict with what is there", None),
    413: ("too_large", "More bytes than are taken here", None),
    422: ("invalid_request", "Bad input; the message names the field", None),
    429: ("rate_limit", "Too many requests (rate_limit), or a budget is used up (budget_exceeded)", 30),
    502: ("unknown", "The provider refused or failed", None),
    503: ("connection", "The provider cannot be reached, or is busy", 30),
    504: ("timeout", "The answer takes long; it can be read in the session later", 30),
}
ALWAYS = (401, 403, 422, 429)
PROVIDER = (502, 503)
BY_OPERATION = {
    "create_clone": (404, 413),
    "change_clone": (413,),
    "upload_document": (409, 413),
    "retry": (409,),
    "search": PROVIDER,
    "send_message": (404, 409, 413, *PROVIDER, 504),
    "start_session": (404, 413),
    "ask_for_summary": (409, 413),
    "give_feedback": (413,),
    "get_metrics": (404,),
}
ID = "7f6b1c1e-1f0a-4c39-9d58-1f2c1a0f7f11"
REQUESTS = {
    "create_clone": {"name": "Ada Berg", "slug": "ada", "visibility": "private", "headline": "For new leads"},
    "change_clone": {"headline": "A coach for first-time leads", "is_strict": True},
    "start_session": {"clone": "ada"},
    "send_message": {"session_id": ID, "message": "How do I prepare a one-on-one?", "client_message_id": ID},
    "give_feedback": {"rating": 1, "comment": "Just what I needed"},
    "ask_for_summary": {"summary_type": "brief"},
    "change_memory": {"text": "I lead a team of five."},
}
SESSION = {
    "id": ID, "clone": "ada", "title": "One-on-ones", "created_at": "2026-03-01T09:00:00Z",
    "last_activity_at": "2026-03-01T09:05:00Z", "ended_at": None,
}  # fmt: skip
DOCUMENT = {
    "id": ID, "clone": "ada", "title": "Workbook", "file_name": "workbook.pdf", "status": "ready", "stage_done": 12,
    "stage_total": 12, "error_code": "", "error_message": "", "warnings": [], "page_count": 40, "chunk_count": 12,
    "token_count": 10411, "probe_count": 5, "probes_found": 5, "probe_note": "", "similar_document_id": None,
}  # fmt: skip
ANSWERS = {
    "start_session": SESSION,
    "close_session": SESSION,
    "list_sessions": {"items": [SESSION], "count": 1},
    "upload_document": {**DOCUMENT, "status": "queued", "stage_done": 0, "chunk_count": 0},
    "get_document": DOCUMENT,
    "list_documents": {"items": [DOCUMENT], "count": 1},
    "send_message": {
        "message_id": ID, "response": "Let the agenda belong to them. [1]", "status": "complete",
        "html": "<p>Let the agenda belong to them.</p>",
        "sources": [{
            "number": 1, "title": "Workbook", "page": 3, "similarity_score": 0.52, "chunk_id": "17",
            "url": f"/sources/{ID}/",
        }],
        "session_cost": "0.00120000", "cost": "0.00040000", "processing_time_ms": 1840, "tokens_used": 950,
        "input_tokens": 900, "output_tokens": 50, "model": "gpt-4o-mini", "rag_enabled": True,
        "retrieval_quality": {"score": 0.52, "status": "excellent", "chunk_count": 5, "diversity": 2},
        "context_chunks_used": 5,
    },
}  # fmt: skip


class DocumentedApi(NinjaAPI):
    """A NinjaAPI whose OpenAPI document declares each operation's refusals."""

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**options)
        components = document.setdefault("components", {}).setdefault("schemas", {})
        components["Error"] = Error.model_json_schema()
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method in METHODS:
                    _describe(operation, has_key="{" in path)
        return document


def _describe(operation: dict[str, Any], *, has_key: bool) -> None:
    name = operation["operationId"].rpartition("_api_")[2]
    for status in sorted({*ALWAYS, *((404,) if has_key else ()), *BY_OPERATION.get(name, ())}):
        operation["responses"].setdefault(status, _describe_refusal(status))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None and name in REQUESTS:
        body["example"] = REQUESTS[name]
    for status, answer in operation["responses"].items():
        content = answer.get("content", {}).get("application/json")
        if content is not None and int(status) < 300 and name in ANSWERS:
            content["example"] = ANSWERS[name]


def _describe_refusal(status: int) -> dict[str, Any]:
    error_type, meaning, retry_after = REFUSALS[status]
    example = {"error_type": error_type, "message": f"{meaning}.", "retry_after": retry_after}
    schema = {"$ref": "#/components/schemas/Error"}
    found: dict[str, Any] = {
        "description": meaning,
        "content": {"application/json": {"schema": schema, "example": example}},
    }
    if retry_after is not None:
        found["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
    return found
