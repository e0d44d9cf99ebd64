"""The set-up of compose.yaml on this machine: its commands, variables and nginx configuration, without containers."""

import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chat.tests.live import find_free_port

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
WEB, WORKERS = ("web-1", "web-2"), ("worker-1", "worker-2")
NEEDED = ("nginx", "redis-server")
PORT_IN_CONTAINER = "8000"
START_SECONDS = 120
NGINX_FRAME = """
user root;
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def find_missing_programs() -> list[str]:
    return [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]


class Installation:
    """nginx, Redis, two web processes and two job clusters; a context manager. `answers` are .env's variables."""

    def __init__(self, *, folder: Path, answers: Mapping[str, str], overrides: Mapping[str, str]) -> None:
        self.folder = folder
        self._ports = {name: find_free_port() for name in (*WEB, "redis", "http", "https")}
        self.address = f"https://127.0.0.1:{self._ports['https']}"
        self.answers = {"CSRF_TRUSTED_ORIGINS": self.address, "ALLOWED_HOSTS": "127.0.0.1", **answers}
        self._overrides = {
            "REDIS_URL": f"redis://127.0.0.1:{self._ports['redis']}/0",
            "STATIC_ROOT": str(folder / "static"),
            **overrides,
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        write_certificate(folder=folder)
        self.tls = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))

    def __enter__(self) -> "Installation":
        try:
            self.collect_static_files()
            self.start("redis")
            for name in (*WEB, *WORKERS):
                self.start(name)
            for name in WEB:
                self.wait_until_ready(name)
            self.start("nginx")
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop_all()

    def start(self, name: str) -> None:
        environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": os.environ.get("HOME", "/")}
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self._command(name),
                cwd=ROOT,
                env=environment | self._environment(name),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def collect_static_files(self) -> None:
        """As the Dockerfile does."""
        command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=self._environment(WEB[0]), check=True)

    def stop(self, name: str) -> None:
        """As `docker compose stop` does it: SIGTERM, then SIGKILL after the grace that compose.yaml gives."""
        process = self._processes[name]
        process.terminate()
        grace = str(COMPOSE["services"].get(name, {}).get("stop_grace_period", "10s")).removesuffix("s")
        try:
            process.wait(timeout=float(grace))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def kill(self, name: str) -> None:
        """As the kernel does it when memory is short: the whole container at once."""
        process = self._processes[name]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop_all(self) -> None:
        for name in reversed(list(self._processes)):
            self.stop(name)

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)
        if name in WEB:
            self.wait_until_ready(name)

    def wait_until_ready(self, name: str) -> None:
        url = f"http://127.0.0.1:{self._ports[name]}/readyz"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=4):
                    return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError((self.folder / f"{name}.log").read_text(errors="replace")[-3000:])

    def _command(self, name: str) -> list[str]:
        if name == "nginx":
            self._write_nginx_configuration()
            return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        command: list[str] = list(COMPOSE["services"][name]["command"])
        if name == "redis":
            return [*command, "--port", str(self._ports["redis"]), "--bind", "127.0.0.1"]
        here = {
            "python": sys.executable,
            "0.0.0.0": "127.0.0.1",  # noqa: S104
            PORT_IN_CONTAINER: str(self._ports.get(name)),
        }
        return [here.get(word, word) for word in command]

    def _environment(self, name: str) -> dict[str, str]:
        if name not in (*WEB, *WORKERS):
            return {}
        asked = COMPOSE["services"][name]["environment"]
        return {key: self._fill_in(value) for key, value in asked.items()} | self._overrides

    def _fill_in(self, value: str) -> str:
        return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: self.answers.get(found[1], ""), value)

    def _write_nginx_configuration(self) -> None:
        asked = dict(COMPOSE["services"]["nginx"]["environment"])
        for name in WEB:
            place = f"127.0.0.1:{self._ports[name]}"
            asked["WEB_SERVERS"] = asked["WEB_SERVERS"].replace(f"{name}:{PORT_IN_CONTAINER} resolve", place)
        asked |= {"RESOLVER": "", "HTTP_PORT": f"127.0.0.1:{self._ports['http']}"}
        asked |= {"HTTPS_PORT": f"127.0.0.1:{self._ports['https']}"}
        asked |= {
            "CERTIFICATE": f"{self.folder}/fullchain.pem",
            "CERTIFICATE_KEY": f"{self.folder}/privkey.pem",
        }
        template = (ROOT / "deploy" / "nginx.conf.template").read_text()
        site = re.sub(r"\$\{(\w+)\}", lambda found: asked[found[1]], template)
        (self.folder / "site.conf").write_text(site)
        (self.folder / "nginx.conf").write_text(NGINX_FRAME.format(folder=self.folder))


def write_certificate(*, folder: Path) -> None:
    """fullchain.pem and privkey.pem for 127.0.0.1, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
