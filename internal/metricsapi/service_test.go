package metricsapi

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
)

const messages = "kafka_server_brokertopicmetrics_messages_in_total"

var now = time.Date(2026, 3, 6, 10, 0, 0, 0, time.UTC)

// world is a service over answers that a test chooses.
type world struct {
	*Service

	namespace string
	missing   error
	answer    []Series
	failure   error
	only      string // the questions that fail; empty: all
	at        time.Time

	mu     sync.Mutex
	asked  []string
	window Window
}

func newWorld(answer ...Series) *world {
	w := &world{namespace: "kafka-a", answer: answer, at: now}
	note := func(ctx context.Context, promQL string, window Window) ([]Series, error) {
		if ctx.Value(together{}) == nil {
			return nil, errors.New("an answer that shares its bound with no other")
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked, w.window = append(w.asked, promQL), window
		var fitting []Series
		for _, s := range w.answer {
			if strings.Contains(promQL, s.Labels[nameLabel]) {
				fitting = append(fitting, s)
			}
		}
		if w.failure != nil && strings.Contains(promQL, w.only) {
			return nil, w.failure
		}
		return fitting, nil
	}
	w.Service = NewService(Deps{
		Namespace: func(context.Context, access.Identity, string) (string, error) { return w.namespace, w.missing },
		Backend: Backend{
			Together: func(ctx context.Context) context.Context { return context.WithValue(ctx, together{}, true) },
			Instant: func(ctx context.Context, promQL string, _ time.Time) ([]Series, error) {
				return note(ctx, promQL, Window{})
			},
			Range: func(ctx context.Context, promQL string, window Window) ([]Series, error) {
				return note(ctx, promQL, window)
			},
		},
		Clock: func() time.Time { return w.at }, Logger: slog.New(slog.DiscardHandler),
	})
	return w
}

func series(name string, value float64, pairs ...string) Series {
	s := Series{Labels: map[string]string{nameLabel: name, namespaceLabel: "kafka-a"}, Samples: []Sample{{now.UnixMilli(), value}}}
	for i := 0; i+1 < len(pairs); i += 2 {
		s.Labels[pairs[i]] = pairs[i+1]
	}
	return s
}

type together struct{}

var nobody = access.Identity{}

func TestCustomersSeeTheirLabelsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(series(messages, 7, "topic", "orders", "pod", "secret", "node", "ip-10-0-0-1", "instance_name", "mine", "exported_pod", "router-1"))
	got, err := w.Query(t.Context(), nobody, "k", []string{messages})
	require.NoError(t, err)
	require.Equal(t, []Series{{
		Labels:  map[string]string{nameLabel: messages, "topic": "orders", "instance_name": "mine", "exported_pod": "router-1"},
		Samples: []Sample{{now.UnixMilli(), 7}},
	}}, got)
}

// A backend that is broken, or another than we take it for, must not show one customer's figures to another.
func TestSeriesThatNobodyAskedForAreDropped(t *testing.T) {
	t.Parallel()
	const in = "kafka_namespace:haproxy_server_bytes_in_total:rate5m"
	w := newWorld(
		series(messages, 1, "topic", "a"), series(messages, 2, namespaceLabel, "kafka-b"), series(messages, 3, namespaceLabel, ""),
		series(in, 4, exportedLabel, "kafka-a"), series(in, 5, exportedLabel, "kafka-b"), series(in, 6),
	)
	w.answer[2].Labels = map[string]string{nameLabel: messages} // no namespace at all
	got, err := w.Query(t.Context(), nobody, "k", nil)
	require.NoError(t, err)
	var values []float64
	for _, s := range got {
		values = append(values, s.Samples[0].Value)
	}
	require.ElementsMatch(t, []float64{1, 4}, values)
	text, err := w.Federate(t.Context(), nobody, "k")
	require.NoError(t, err)
	require.Equal(t, 2, bytes.Count(text, []byte("\n"))-4, string(text))
}

func TestWithoutNamespaceNobodyIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(series(messages, 1, namespaceLabel, ""))
	w.namespace = ""
	got, err := w.Query(t.Context(), nobody, "k", nil)
	require.NoError(t, err)
	require.Empty(t, got)
	got, err = w.QueryRange(t.Context(), nobody, "k", Span{5, 30}, nil)
	require.NoError(t, err)
	require.Empty(t, got)
	text, err := w.Federate(t.Context(), nobody, "k")
	require.NoError(t, err)
	require.Empty(t, text)
	require.Empty(t, w.asked)
}

func TestSamplesThatAreNoNumbers(t *testing.T) {
	t.Parallel()
	mixed := series(messages, 0, "topic", "mixed")
	mixed.Samples = []Sample{{1, math.NaN()}, {2, 5}, {3, math.Inf(1)}, {4, math.Inf(-1)}, {5, 6}}
	w := newWorld(mixed, series(messages, math.NaN(), "topic", "none"))
	got, err := w.QueryRange(t.Context(), nobody, "k", Span{5, 30}, nil)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, []Sample{{2, 5}, {5, 6}}, got[0].Samples)
	require.True(t, math.IsNaN(w.answer[0].Samples[0].Value), "what the backend gave is not changed")
	text, err := newWorld(series(messages, math.NaN(), "topic", "none"), series(messages, 3, "topic", "some")).Federate(t.Context(), nobody, "k")
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(text, []byte("{")), string(text))
}

func TestTheSpanEndsNow(t *testing.T) {
	t.Parallel()
	w := newWorld()
	_, err := w.QueryRange(t.Context(), nobody, "k", Span{Minutes: 90, Seconds: 60}, []string{messages})
	require.NoError(t, err)
	require.Equal(t, Window{Start: now.Add(-90 * time.Minute), End: now, Step: time.Minute}, w.window)
	_, err = w.QueryRange(t.Context(), nobody, "k", Span{Minutes: 0, Seconds: 60}, nil)
	require.True(t, apierr.Is(err, apierr.BadRequest))
}

func TestFailures(t *testing.T) {
	t.Parallel()
	w := newWorld()
	calls := map[string]func() error{
		queryFailed:        func() error { _, err := w.Query(t.Context(), nobody, "k", nil); return err },
		queryFailed + " ":  func() error { _, err := w.QueryRange(t.Context(), nobody, "k", Span{5, 30}, nil); return err },
		scrapeFailed + " ": func() error { _, err := w.Federate(t.Context(), nobody, "k"); return err },
	}
	w.failure = errors.New(`could not ask {namespace="kafka-a"} at http://inside.example`)
	for reason, call := range calls {
		err := call()
		require.Error(t, err)
		told := apierr.From(err)
		require.Equal(t, apierr.General, told.Code)
		require.Equal(t, strings.TrimSpace(reason), told.Reason)
		require.ErrorIs(t, told, w.failure, "the log learns the cause")
	}
	w.only = "haproxy" // a part of an answer would look like the whole
	for _, call := range calls {
		require.ErrorIs(t, call(), w.failure)
	}
	w.failure, w.missing = nil, apierr.New(apierr.NotFound, "no such Kafka")
	for _, call := range calls {
		require.True(t, apierr.Is(call(), apierr.NotFound))
	}
	w.missing = errors.New("the database is down")
	_, err := w.Federate(t.Context(), nobody, "k")
	require.Equal(t, scrapeFailed, apierr.From(err).Reason)
	w.missing, w.failure = nil, ErrTooMuch
	_, err = w.Query(t.Context(), nobody, "k", nil)
	require.True(t, apierr.Is(err, apierr.BadRequest), "the customer can mend it")
	_, err = w.Federate(t.Context(), nobody, "k")
	require.True(t, apierr.Is(err, apierr.General), "a scraper cannot")
}

// scraped reads an exposition as a scraper does, which refuses one with the same series twice.
func scraped(t *testing.T, text []byte) map[string]map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	require.NoError(t, err, string(text))
	out := map[string]map[string]float64{}
	for name, family := range families {
		require.Equal(t, "GAUGE", family.GetType().String())
		require.NotEmpty(t, family.GetHelp())
		out[name] = map[string]float64{}
		for _, one := range family.GetMetric() {
			var labels []string
			for _, pair := range one.GetLabel() {
				labels = append(labels, pair.GetName()+"="+pair.GetValue())
			}
			key := strings.Join(labels, ",")
			require.NotContains(t, out[name], key, "the same series twice")
			out[name][key] = one.GetGauge().GetValue()
			require.Zero(t, one.GetTimestampMs())
		}
	}
	return out
}

func TestAnExpositionIsNeverRefused(t *testing.T) {
	t.Parallel()
	const group, limit, topics = "consumergroup:kafka_consumergroup_members:count", "kafka_instance_connection_limit", "kafka_topic:kafka_topic_partitions:count"
	old := series(messages, 100, "topic", "orders", "prometheus_replica", "0")
	old.Samples[0].Milliseconds -= 5000
	w := newWorld(
		old, series(messages, 70, "topic", "orders", "prometheus_replica", "1"), series(messages, 70, "topic", "orders", "prometheus_replica", "2"),
		series(messages, 4, "topic", `we"ird\`+"\n"), series(messages, 5, "topic", "orders", pod, "mine-kafka-1"),
		series(group, 2, "consumergroup", "readers"), series(group, 3, "consumergroup", "writers"),
		series(limit, 3000, "instance_name", "mine", "broker_id", "0", "node", "ip-10-0-0-1"),
		series(topics, 8, "a", "1"), series(topics, 9, "a", "2"),
	)
	text, err := w.Federate(t.Context(), nobody, "k")
	require.NoError(t, err)
	require.Equal(t, map[string]map[string]float64{
		messages: {"topic=orders": 70, `topic=we"ird\` + "\n": 4, "topic=orders," + pod + "=mine-kafka-1": 5},
		group:    {"consumergroup=readers": 2, "consumergroup=writers": 3},
		limit:    {"instance_name=mine,broker_id=0": 3000},
		topics:   {"": 9},
	}, scraped(t, text))
	require.NotContains(t, string(text), "kafka-a", "the namespace is nobody's business")
}

func TestScrapesAreKeptForAMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(series(messages, 1, "topic", "a"))
	scrape := func() string {
		text, err := w.Federate(t.Context(), nobody, "k")
		require.NoError(t, err)
		return string(text)
	}
	first := scrape()
	asked := len(w.asked)
	w.answer = []Series{series(messages, 2, "topic", "a")}
	w.at = now.Add(scrapeAge - time.Millisecond)
	require.Equal(t, first, scrape())
	require.Len(t, w.asked, asked)
	w.at = now.Add(scrapeAge)
	second := scrape()
	require.NotEqual(t, first, second)
	w.namespace, w.answer = "kafka-b", nil
	require.Empty(t, scrape(), "another instance's copy is not given away")
	w.namespace, w.missing = "kafka-a", apierr.New(apierr.NotFound, "")
	_, err := w.Federate(t.Context(), nobody, "k")
	require.True(t, apierr.Is(err, apierr.NotFound), "who may have it is asked every time")
}

func TestFailuresAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(series(messages, 1, "topic", "a"))
	w.failure = errors.New("down")
	_, err := w.Federate(t.Context(), nobody, "k")
	require.Error(t, err)
	w.failure = nil
	text, err := w.Federate(t.Context(), nobody, "k")
	require.NoError(t, err)
	require.NotEmpty(t, text)
}
