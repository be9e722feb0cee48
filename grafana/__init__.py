"""What Grafana and Prometheus are given: dashboards, rules and alerts."""
