"""Lints a chart and renders it, with Helm's own engine and without a cluster.

The first argument is the chart's folder, and standard input the values as JSON. Standard output is JSON:
{"findings": [text], "manifests": {template: text}} or {"error": text}.
"""

import json
import sys

import helm_python as helm

WARNING = 2

chart_folder = sys.argv[1]
values = json.load(sys.stdin)
report = helm.lint(chart_folder, values, strict=True, kube_version="v1.33.0")
findings = [f"{found['path']}: {found['error']}" for found in report["messages"] if found["severity"] >= WARNING]
try:
    with helm.Chart.load(chart_folder) as chart:
        chart.validate_schema(values)
        manifests = chart.render(values, name="tried", namespace="agents", is_install=True)
        answer = {"findings": findings + report["errors"], "manifests": manifests}
except helm.HelmError as error:
    answer = {"error": str(error)}
json.dump(answer, sys.stdout)
