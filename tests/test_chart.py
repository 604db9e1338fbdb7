"""The Helm chart, as `tests/helm/render.sh` rendered it with helm: in step with the program, and with the chart.

Helm is no package of Debian, so what it made of the chart lies in `tests/helm/rendered`, with the checksums of what it
was made from. Where helm is installed, the chart is rendered anew and compared.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config import Config, load_config
from bridge.config.model import AppserviceConfig, CallsConfig, MediaConfig, SipConfig
from bridge.config.operations import OpsConfig

CHART = Path("deploy/helm/trunkline")
RENDERED = Path("tests/helm/rendered")
CONTAINERFILE = Path("deploy/container/Containerfile")
FILES = ("host_network", "load_balancer")


def rendered(name: str) -> dict[tuple[str, str], Any]:
    """What a cluster would be given, by kind and name."""
    documents = yaml.safe_load_all((RENDERED / f"{name}.yaml").read_text())
    return {(each["kind"], each["metadata"]["name"]): each for each in documents if each}


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = rendered(name)["StatefulSet", "trunkline"]["spec"]["template"]["spec"]
    return found


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """What Trunkline reads in the pod: the ConfigMap's file, the Secret's files beside it, a volume that exists."""
    directory = tmp_path_factory.mktemp("etc")
    (written,) = rendered("host_network")["ConfigMap", "trunkline"]["data"].items()
    file = directory / written[0]
    file.write_text(written[1].replace("/data/", f"{directory}/"))
    for secret in ("as_token", "hs_token", "trunk_password"):
        (directory / secret).write_text(f"{secret}-0123456789abcdef")
    return load_config(file, {})


def test_what_was_rendered_is_of_the_chart_as_it_is() -> None:
    lines = [line.split() for line in (RENDERED / "inputs.sha256").read_text().splitlines()]
    inputs = [file for file in CHART.rglob("*") if file.is_file() and not file.is_symlink()]
    inputs.append(Path("tests/helm/trunkline.yaml"))
    recorded = {name: checksum for checksum, name in lines}
    found = {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in inputs}
    assert recorded == found, "run tests/helm/render.sh"


def test_helm_renders_the_same_where_it_is_installed(tmp_path: Path) -> None:
    helm = os.environ.get("HELM") or shutil.which("helm")
    if helm is not None:
        environment = {**os.environ, "HELM": helm, "RENDERED": str(tmp_path)}
        subprocess.run(["tests/helm/render.sh"], env=environment, check=True, timeout=60, capture_output=True)
        for name in FILES:
            assert (tmp_path / f"{name}.yaml").read_text() == (RENDERED / f"{name}.yaml").read_text()
    assert {file.stem for file in RENDERED.glob("*.yaml")} == set(FILES)


def test_alerts_and_dashboard_are_those_of_everybody_else() -> None:
    assert (CHART / "files/alerts.yml").samefile("deploy/prometheus/alerts.yml")
    assert (CHART / "files/dashboard.json").samefile("deploy/grafana/trunkline.json")
    used = re.findall(r'Files\.Get "(.*?)"', (CHART / "templates/monitoring.yaml").read_text())
    assert {CHART / name for name in used} == set((CHART / "files").iterdir())


def leaves(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        yield from leaves(part, f"{prefix}{name}.") if "properties" in part else [f"{prefix}{name}"]


def test_values_schema_and_templates_know_the_same_names() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    known = set(leaves(schema)) - {"global"}
    for name in known:
        place = values
        for part in name.split("."):
            assert part in place, name
            place = place[part]
    assert set(values) == {name.partition(".")[0] for name in known}
    templates = "".join(file.read_text() for file in (CHART / "templates").iterdir())
    for used in re.findall(r"\.Values\.([\w.]+)", templates):
        assert used in known or any(name.startswith(f"{used}.") for name in known), used


def test_the_chart_assumes_the_defaults_of_the_program() -> None:
    helpers = (CHART / "templates/_helpers.tpl").read_text()
    appservice = AppserviceConfig.model_fields["listen"].default
    ops, ports = OpsConfig(), MediaConfig().ports
    assert f'default "{appservice.host}:{appservice.port}"' in helpers
    assert f'default "{ops.listen.host}:{ops.listen.port}"' in helpers
    assert f'"call_records" "{ops.call_records}"' in helpers
    assert f'default "{ports.first}-{ports.last}"' in helpers
    assert f'"drain_timeout_s" {CallsConfig().drain_timeout_s:.0f} ' in helpers
    for listener in SipConfig().listen:
        assert f'"{listener.transport}:{listener.host}:{listener.port}"' in helpers


@pytest.mark.parametrize("name", FILES)
def test_the_pod_is_shut_as_the_image_allows(name: str) -> None:
    (container,) = pod(name)["containers"]
    user = re.search(r"^USER (\d+):(\d+)$", CONTAINERFILE.read_text(), re.MULTILINE)
    assert user is not None
    whole = pod(name)["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert [str(whole["runAsUser"]), str(whole["runAsGroup"])] == list(user.groups())
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    assert f'"{container["volumeMounts"][1]["mountPath"]}/trunkline.yaml"' in CONTAINERFILE.read_text()


@pytest.mark.parametrize("name", FILES)
def test_ports_and_times_are_those_of_the_configuration(name: str, config: Config) -> None:
    (container,) = pod(name)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {
        "appservice": config.appservice.listen.port,
        "ops": config.ops.listen.port,
        **{f"sip-{listener.transport}-{listener.port}": listener.port for listener in config.sip.listen},
    }
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert [probe["path"] for probe in probes.values()] == ["/livez", "/livez", "/readyz"]
    assert {probe["port"] for probe in probes.values()} == {config.ops.listen.port}
    assert pod(name)["terminationGracePeriodSeconds"] == config.calls.drain_timeout_s + 20


def test_the_homeserver_reaches_a_bridge_that_is_not_ready_yet(config: Config) -> None:
    """Ready is who was reached by the homeserver: without this, nobody ever would be."""
    service = rendered("host_network")["Service", "trunkline"]
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert config.appservice.url == f"http://trunkline.telephony.svc:{config.appservice.listen.port}"


def test_without_the_nodes_network_every_port_of_a_call_is_published(config: Config) -> None:
    assert pod("host_network")["hostNetwork"] is True
    assert "hostNetwork" not in pod("load_balancer")
    assert ("Service", "trunkline-calls") not in rendered("host_network")
    spec = rendered("load_balancer")["Service", "trunkline-calls"]["spec"]
    assert spec["externalTrafficPolicy"] == "Local"
    audio = [port["port"] for port in spec["ports"] if port["name"].startswith("media-")]
    assert audio == list(range(config.media.ports.first, config.media.ports.last + 1))
    assert all(port["port"] == port["targetPort"] for port in spec["ports"])


def test_what_must_not_be_lost_lies_on_the_volume() -> None:
    written = yaml.safe_load(rendered("host_network")["ConfigMap", "trunkline"]["data"]["trunkline.yaml"])
    (container,) = pod("host_network")["containers"]
    (claim,) = rendered("host_network")["StatefulSet", "trunkline"]["spec"]["volumeClaimTemplates"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}[claim["metadata"]["name"]]
    assert written["store"]["path"].startswith(f"{mounted}/")
    assert written["ops"]["call_records"].startswith(f"{mounted}/")


def test_prometheus_gives_it_the_job_that_the_alerts_speak_of() -> None:
    monitor = rendered("host_network")["ServiceMonitor", "trunkline"]["spec"]
    service = rendered("host_network")["Service", "trunkline"]
    job = service["metadata"]["labels"][monitor["jobLabel"]]
    assert f'up{{job="{job}"}}' in Path("deploy/prometheus/alerts.yml").read_text()
    assert {port["name"] for port in service["spec"]["ports"]} >= {end["port"] for end in monitor["endpoints"]}
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
