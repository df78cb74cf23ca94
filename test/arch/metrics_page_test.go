package arch

import (
	"cmp"
	"context"
	"fmt"
	"go/ast"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/httpx"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/observatorium"
)

const metricsHead = pageHead + `# Metrics

Served on ` + "`/metrics`" + ` of the metrics server. Besides these there are ` + "`go_*`, `process_*`" + ` and, for the database pool, ` +
	"`go_sql_*{db_name=\"kas_fleet_manager\"}`" + `.
Counters exist from the start with the value 0 wherever their labels are known, so that rate() sees the first event. Gauges about the fleet
come from the leader alone; the sum over replicas is the fleet. Names that existing dashboards and alerts ask for are kept.

## What is not there on purpose

No series is made per instance or per change of an instance: their number would grow with the fleet and with its past, and the series of
deleted instances would stay. Dashboards made for other builds of the service may ask for these, which are not served:

| not served | look here instead |
|---|---|
| ` + "`kas_fleet_manager_kafka_requests_status_since_created_in_seconds`" + ` | how long instances take: ` + "`kas_fleet_manager_worker_kafka_duration`" + `; how many take too long: ` + "`kas_fleet_manager_kafka_requests_overdue`" + `; one instance: its history in ` + "`kafka_events`" + ` |
| ` + "`kas_fleet_manager_kafka_requests_current_status_info`" + ` | how many are where: ` + "`kas_fleet_manager_kafka_requests_status_count`" + `; one instance: its row, and the log lines with its ` + "`kafka_id`" + ` |
| ` + "`kas_fleet_manager_cluster_provider_resource_quota_consumed`, `…_max_allowed`" + ` | nothing yet: they come with the quota of accounts management |
| ` + "`kafka_version`, `strimzi_version`, `kafka_ibp_version`" + ` | the instance's row; as gauges they read the whole table at every scrape of every replica |

## Series

| name | type | labels | meaning |
|---|---|---|---|
`

func TestMetricsPage(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	out.WriteString(metricsHead)
	var bounds strings.Builder
	for _, s := range describe(t, collectors(t)) {
		row(&out, "`"+s.name+"`", s.kind, codes(s.labels), s.help)
		if len(s.bounds) > 0 {
			row(&bounds, "`"+s.name+"`", strings.Join(s.bounds, ", "))
		}
	}
	out.WriteString("\n## Bounds of the histograms, in seconds\n\n| name | upper bounds |\n|---|---|\n" + bounds.String())
	out.WriteString("\n## Values of `worker_type`\n\n`" + strings.Join(loopNames(), "` `") + "`\n")
	fresh(t, "docs/metrics.md", out.String())
}

// catcher keeps what is registered.
type catcher struct{ caught []prometheus.Collector }

func (c *catcher) Register(one prometheus.Collector) error {
	c.caught = append(c.caught, one)
	return nil
}
func (c *catcher) Unregister(prometheus.Collector) bool { return true }
func (c *catcher) MustRegister(many ...prometheus.Collector) {
	c.caught = append(c.caught, many...)
}

// collectors gives those of all parts.
func collectors(t *testing.T) []prometheus.Collector {
	t.Helper()
	all := &catcher{}
	kafka.NewMetrics(all)
	cluster.NewMetrics(all, cluster.Config{StrimziAddon: "any", FleetshardAddon: "other"})
	httpx.NewMetrics(all, httpx.NewLimits(httpx.LimitConfig{ReadsInFlight: 1, WritesInFlight: 1}))
	observatorium.NewMetrics(all)
	_, err := reconcile.NewMetrics(all, "any")
	require.NoError(t, err)
	// The collectors of statements are made before the first connection fails.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = db.Open(ctx, db.Config{URL: "postgres://nobody@127.0.0.1:1/none"}, all, slog.New(slog.DiscardHandler))
	require.Error(t, err)
	return all.caught
}

// TestMetricsPageIsComplete: each constructor of metrics must be called above.
func TestMetricsPageIsComplete(t *testing.T) {
	t.Parallel()
	called := map[string]bool{}
	var made []string
	for _, f := range sources(t) {
		if f.path == "test/arch/metrics_page_test.go" {
			imports := f.imports()
			ast.Inspect(f.tree, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "NewMetrics" {
					if x, ok := s.X.(*ast.Ident); ok {
						called[imports[x.Name]] = true
					}
				}
				return true
			})
		}
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "NewMetrics" && !f.test {
				made = append(made, path.Join(module, f.pkg))
			}
		}
	}
	for _, pkg := range made {
		require.True(t, called[pkg], "the collectors of %s are not on the page", pkg)
	}
}

type series struct {
	name, kind, help string
	labels, bounds   []string
}

// describe gathers one series of each collector, with invented labels.
func describe(t *testing.T, all []prometheus.Collector) (found []series) {
	t.Helper()
	for _, c := range all {
		labels := labelsOf(t, c)
		values := make([]string, len(labels))
		switch v := c.(type) {
		case *prometheus.CounterVec:
			v.WithLabelValues(values...)
		case *prometheus.GaugeVec:
			v.WithLabelValues(values...)
		case *prometheus.HistogramVec:
			v.WithLabelValues(values...)
		}
		registry := prometheus.NewRegistry()
		require.NoError(t, registry.Register(c))
		families, err := registry.Gather()
		require.NoError(t, err)
		require.Len(t, families, 1, "%T", c)
		family := families[0]
		s := series{name: family.GetName(), kind: strings.ToLower(family.GetType().String()), help: family.GetHelp(), labels: labels}
		for _, b := range family.GetMetric()[0].GetHistogram().GetBucket() {
			s.bounds = append(s.bounds, strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64))
		}
		found = append(found, s)
	}
	slices.SortFunc(found, func(a, b series) int { return cmp.Compare(a.name, b.name) })
	return found
}

// labelsOf reads the variable labels out of the description, the only place that tells them.
func labelsOf(t *testing.T, c prometheus.Collector) []string {
	t.Helper()
	descriptions := make(chan *prometheus.Desc, 10)
	c.Describe(descriptions)
	close(descriptions)
	text := fmt.Sprint(<-descriptions)
	_, rest, ok := strings.Cut(text, "variableLabels: {")
	require.True(t, ok, text)
	inner, _, ok := strings.Cut(rest, "}")
	require.True(t, ok, text)
	if inner == "" {
		return nil
	}
	return strings.Split(inner, ",")
}
