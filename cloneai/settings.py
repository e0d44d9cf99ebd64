"""All settings. `cloneai.environment` reads the environment; `.env.example` lists the variables."""

import os
import sys
from pathlib import Path
from typing import Any

import django_stubs_ext
from django.urls import reverse_lazy

from cloneai.environment import (
    load_env_file,
    read_bool,
    read_choice,
    read_database,
    read_email,
    read_folder,
    read_hosts,
    read_int,
    read_list,
    read_secret_key,
    read_storage,
    read_text,
    read_url,
    read_usd,
)

django_stubs_ext.monkeypatch()  # models.DecimalField[Any, Any] and the like

BASE_DIR = Path(__file__).resolve().parent.parent
load_env_file(path=BASE_DIR / ".env")
VAR_DIR = read_folder("VAR_DIR", default=BASE_DIR / "var")

DEBUG = read_bool("DEBUG", True)
SECRET_KEY = read_secret_key(var_dir=VAR_DIR, debug=DEBUG)
PORT = read_int("PORT", 8000, maximum=65535)
# How long a web process that was told to end goes on with the answers it is writing.
DRAIN_SECONDS = read_int("DRAIN_SECONDS", 20, minimum=0, maximum=600)
# Plain HTTP outside DEBUG, for a network of your own: cookies and pages can then be read on the way.
INSECURE_HTTP = read_bool("INSECURE_HTTP", False)
ALLOWED_HOSTS = read_hosts("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if DEBUG else "")
CSRF_TRUSTED_ORIGINS = read_list("CSRF_TRUSTED_ORIGINS")
EMBED_ORIGINS = read_list("EMBED_ORIGINS")  # whose pages may frame ours; see cloneai/security.py
os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(BASE_DIR / "cloneai" / "vocabularies"))
TESTING = "pytest" in sys.modules

# The provider. Neither key nor base URL means the local provider ("offline mode"), with models of its own.
OPENAI_API_KEY = read_text("OPENAI_API_KEY")
OPENAI_ORG_ID = read_text("OPENAI_ORG_ID")
OPENAI_BASE_URL = read_url("OPENAI_BASE_URL", schemes=("http", "https"))
AI_OFFLINE = not OPENAI_API_KEY and not OPENAI_BASE_URL
LOCAL_CHAT_MODEL = "local-extractive"
LOCAL_EMBEDDING_MODEL = "local-wordllama-256"
GPT_4_MODEL = LOCAL_CHAT_MODEL if AI_OFFLINE else read_text("GPT_4_MODEL", "gpt-4.1")
GPT_4_MINI_MODEL = LOCAL_CHAT_MODEL if AI_OFFLINE else read_text("GPT_4_MINI_MODEL", "gpt-4o-mini")
FUNCTION_CALLING_MODEL = LOCAL_CHAT_MODEL if AI_OFFLINE else read_text("FUNCTION_CALLING_MODEL", GPT_4_MODEL)
EMBEDDING_MODEL = (
    LOCAL_EMBEDDING_MODEL if AI_OFFLINE else read_text("EMBEDDING_MODEL", "text-embedding-3-large")
)
EMBEDDING_DIMENSIONS = 256 if AI_OFFLINE else read_int("EMBEDDING_DIMENSIONS", 1536, maximum=4000)
# To connect, between two bytes of a stream, for one answer, and for a call with all its retries.
AI_CONNECT_TIMEOUT_SECONDS = 5.0
AI_STALL_TIMEOUT_SECONDS = 30.0
AI_READ_TIMEOUT_SECONDS = 120.0
AI_CALL_TIMEOUT_SECONDS = 300.0
AI_LONGEST_RETRY_WAIT_SECONDS = 30  # a longer Retry-After becomes the error's retry_after at once
MAX_TOKENS_PER_REQUEST = read_int("MAX_TOKENS_PER_REQUEST", 4000)
MAX_CONTEXT_LENGTH = read_int("MAX_CONTEXT_LENGTH", 8000, minimum=2000)
DAILY_COST_LIMIT = read_usd("DAILY_COST_LIMIT", "1000.00")
USER_DAILY_COST_LIMIT = read_usd("USER_DAILY_COST_LIMIT", "50.00")

INSTALLED_APPS = [
    "daphne",
    "channels",
    "ninja",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "cloneai",  # before django_q, whose qcluster it extends
    "django_q",
    "pgvector.django",
    "cloneai.local_ai",
    "cloneai.accounts",
    "clones",
    "billing",
    "knowledge",
    "chat",
]

MIDDLEWARE = [
    "cloneai.edge.log_context_middleware",
    "cloneai.security.browser_policies_middleware",
    "cloneai.error_pages.ErrorPagesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "cloneai.accounts.async_user.async_user_middleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "cloneai.accounts.second_factor.staff_second_factor_middleware",
]

ROOT_URLCONF = "cloneai.urls"
DEFAULT_EXCEPTION_REPORTER = "cloneai.error_pages.PageExceptionReporter"
ASGI_APPLICATION = "cloneai.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "cloneai.context.platform",
            ],
        },
    },
]

# The engine starts the embedded server at the first connection when HOST is empty (see cloneai/database).
DATABASE_URL = read_url("DATABASE_URL", schemes=("postgres", "postgresql"))
DATABASES: dict[str, dict[str, Any]] = {
    "default": read_database(url=DATABASE_URL) if DATABASE_URL else {"NAME": "cloneai"}
}
# A pooled connection is looked at before use, so a restarted server costs no request.
DATABASES["default"] |= {"ENGINE": "cloneai.database", "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
# Processes that stay pool: the web process asks for it, and the workers, which would connect ten times a document.
DATABASE_POOL_SIZE = read_int("DATABASE_POOL_SIZE", 8, maximum=500)
if read_bool("DATABASE_POOL", sys.argv[1:2] == ["qcluster"]):
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
        "min_size": 1,
        "max_size": DATABASE_POOL_SIZE,
        "timeout": 20,
    }
# Only `cloneai.database.prepared` prepares; a pooler that knows no prepared statements must be told of here.
if read_bool("DATABASE_PREPARED_STATEMENTS", True):
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("prepare_threshold", 0)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = read_url("REDIS_URL", schemes=("redis", "rediss"))
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "cloneai.redis_layer.RedisChannelLayer",
            "CONFIG": {"url": REDIS_URL, "capacity": 500},
        }
    }
    CACHES = {"default": {"BACKEND": "cloneai.shared_cache.ForgivingRedisCache", "LOCATION": REDIS_URL}}
else:
    CHANNEL_LAYERS = {
        "default": {"BACKEND": "cloneai.memory_layer.MemoryChannelLayer", "CONFIG": {"capacity": 2000}}
    }
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# A task is killed after `timeout`. django-q2 counts `retry` from when a task is taken from the queue, not from when it
# begins, so it must outlast the tasks before it; and it counts only attempts that end, so documents count their own.
JOB_TIMEOUT_SECONDS = 1800
# Two for each core: while one waits for the provider, another one has it.
JOB_WORKERS = read_int("JOB_WORKERS", min(2 * (os.cpu_count() or 1), 8), maximum=64)
Q_CLUSTER = {
    "name": "cloneai",
    "orm": "default",
    "workers": JOB_WORKERS,
    "timeout": JOB_TIMEOUT_SECONDS,
    "retry": int(JOB_TIMEOUT_SECONDS * (1 + (JOB_WORKERS + 1) / JOB_WORKERS)) + 60,
    "max_attempts": 3,
    "ack_failures": True,
    "bulk": 1,
    "queue_limit": JOB_WORKERS,
    "poll": 0.5,
    "catch_up": False,
    "save_limit": 250,  # all of them are read and locked whenever one is added
    "label": "Background jobs",
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
if TESTING:  # a good hash takes half a second each
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_URL = read_text("EMAIL_URL")
if EMAIL_URL:
    vars().update(read_email("EMAIL_URL"))
else:  # printed while developing; elsewhere the log is no place for the links in them
    EMAIL_BACKEND = f"django.core.mail.backends.{'console' if DEBUG else 'dummy'}.EmailBackend"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {"signup": "cloneai.accounts.forms.SignupForm"}
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if EMAIL_URL else "optional"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_LOGIN_ON_PASSWORD_RESET = False
ACCOUNT_PREVENT_ENUMERATION = True
# The address that limits count by is the peer's, unless this many proxies of ours stand in front and add to
# X-Forwarded-For. What lies beyond them in that header is the client's invention.
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT = read_int("TRUSTED_PROXY_COUNT", 0, minimum=0, maximum=10)
ACCOUNT_RATE_LIMITS = {"login_failed": "10/5m/ip,5/5m/key", "login": "30/m/ip"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "CloneAI"
MFA_ALLOW_UNVERIFIED_EMAIL = not EMAIL_URL
STAFF_TOTP_REQUIRED = read_bool("STAFF_TOTP_REQUIRED", not DEBUG)
# For each key or person, and twice as many for each address.
API_REQUESTS_PER_MINUTE = 10**6 if TESTING else read_int("API_REQUESTS_PER_MINUTE", 600)
METRICS_TOKEN = read_text("METRICS_TOKEN")
SENTRY_DSN = read_url("SENTRY_DSN", schemes=("http", "https"))
ACCOUNT_SESSION_REMEMBER = True
LOGIN_URL = reverse_lazy("account_login")
LOGIN_REDIRECT_URL = reverse_lazy("clones:gallery")
LOGOUT_REDIRECT_URL = reverse_lazy("clones:gallery")

STATIC_URL = "/static/"
STATIC_ROOT = read_folder("STATIC_ROOT", default=BASE_DIR / "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = read_storage("STORAGE_URL", default=VAR_DIR / "media")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG
FILE_UPLOAD_PERMISSIONS = 0o600
MAX_UPLOAD_BYTES = 50 * 1024 * 1024
# Both cost calls to the provider; clones and documents have their own switch for cleaning too.
DOCUMENT_CLEANING = read_bool("DOCUMENT_CLEANING", True)
DOCUMENT_PROBES = read_bool("DOCUMENT_PROBES", True)
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 100

# What the nightly clean-up deletes. 0 keeps conversations until their member deletes them.
RETENTION_DAYS_SESSIONS = read_int("RETENTION_DAYS_SESSIONS", 0, minimum=0)
RETENTION_DAYS_EXPORTS = read_int("RETENTION_DAYS_EXPORTS", 1)
EXPORTS_ROOT = VAR_DIR / "exports"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if not DEBUG and not INSECURE_HTTP:
    SECURE_SSL_REDIRECT = read_bool("SECURE_SSL_REDIRECT", True)
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # asked by probes, without TLS
    SECURE_HSTS_SECONDS = read_int("SECURE_HSTS_SECONDS", 31_536_000, minimum=0)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

SILENCED_SYSTEM_CHECKS: list[str] = []

LOG_FORMAT = read_choice("LOG_FORMAT", "line" if DEBUG else "json", choices=("line", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "cloneai.logs.LineFormatter",
            "format": "{asctime} {levelname:<7} {name}: {message}",
            "style": "{",
        },
        "json": {"()": "cloneai.logs.JsonFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {name: {"level": "INFO"} for name in ("cloneai", "clones", "billing", "knowledge", "chat")}
    | {"django": {"handlers": [], "level": "INFO"}}  # its own handler would print each line twice
    # Each request has its access line; an error report for every forged Host header would bury the others.
    | {"django.request": {"level": "ERROR"}, "django.security.DisallowedHost": {"level": "CRITICAL"}},
}

UNFOLD = {
    "SITE_TITLE": "CloneAI",
    "SITE_HEADER": "CloneAI",
    "SITE_URL": "/",
    "SITE_SYMBOL": "forum",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "cloneai.admin_navigation.find_favicon"}
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": True,
    "ENVIRONMENT": "cloneai.admin_navigation.label_environment",
    "DASHBOARD_CALLBACK": "cloneai.dashboard.build_dashboard",
    "STYLES": ["cloneai.admin_navigation.find_style_sheet"],
    "COLORS": {
        "primary": {
            "50": "#f0f7f4",
            "100": "#dcece5",
            "200": "#b9d9cd",
            "300": "#8dbfae",
            "400": "#6bb39c",
            "500": "#4a9680",
            "600": "#2f6f5e",
            "700": "#285f50",
            "800": "#224f43",
            "900": "#1c4137",
            "950": "#0f2720",
        },
    },
    "SIDEBAR": {"navigation": "cloneai.admin_navigation.build_sidebar"},
}
