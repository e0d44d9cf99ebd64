"""The product's settings for a test of two clusters: a job is handed out again after two seconds, and logged."""

from cloneai.settings import *  # noqa: F403
from cloneai.settings import LOGGING, Q_CLUSTER

Q_CLUSTER = {**Q_CLUSTER, "retry": 2, "timeout": 60}
LOGGING = {**LOGGING, "loggers": {**LOGGING["loggers"], "django-q": {"level": "INFO"}}}
