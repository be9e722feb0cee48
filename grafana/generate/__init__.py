"""The dashboards as code: `python -m grafana.generate` writes them to `grafana/dashboards/`."""
