package db

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// other is the label of statements whose first word has no series of its own.
const other = "OTHER"

// tracer counts and times every statement of the pool, and logs it without
// values when asked to. It sits at the driver, below gorm, so that no statement
// escapes it and none is printed with its values.
type tracer struct {
	series map[string]series // by first word; never written after construction
	logger *slog.Logger      // nil: no statement is logged
}

type series struct {
	count    [2]prometheus.Counter // failure, success
	duration [2]prometheus.Observer
}

func newTracer(reg prometheus.Registerer, logger *slog.Logger, debug bool) (*tracer, error) {
	count := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kas_fleet_manager_database_query_count",
		Help: "Statements sent to the database.",
	}, []string{"status", "query"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "kas_fleet_manager_database_query_duration",
		Help:    "Seconds a statement took, its rows read.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"status", "query"})
	if reg != nil {
		for _, c := range []prometheus.Collector{count, duration} {
			if err := reg.Register(c); err != nil {
				return nil, err
			}
		}
	}
	t := &tracer{series: map[string]series{}}
	if debug {
		t.logger = logger
	}
	for _, word := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "ROLLBACK", other} {
		var s series
		for i, status := range []string{"failure", "success"} {
			s.count[i] = count.WithLabelValues(status, word)
			s.duration[i] = duration.WithLabelValues(status, word)
		}
		t.series[word] = s
	}
	return t, nil
}

type startKey struct{}

type started struct {
	at  time.Time
	sql string
}

// TraceQueryStart notes the time.
func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, startKey{}, &started{at: time.Now(), sql: data.SQL})
}

// TraceQueryEnd counts and times the statement.
func (t *tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if s, ok := ctx.Value(startKey{}).(*started); ok {
		t.note(ctx, s.sql, time.Since(s.at), data.Err)
	}
}

// TraceBatchStart notes the time of statements that are sent together.
func (t *tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return context.WithValue(ctx, startKey{}, &started{at: time.Now()})
}

// TraceBatchQuery counts one of them; its time is that since all were sent.
func (t *tracer) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	if s, ok := ctx.Value(startKey{}).(*started); ok {
		t.note(ctx, data.SQL, time.Since(s.at), data.Err)
	}
}

// TraceBatchEnd has nothing left to do.
func (t *tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (t *tracer) note(ctx context.Context, sql string, took time.Duration, err error) {
	outcome := 1
	if err != nil {
		outcome = 0
	}
	line, known := t.series[firstWord(sql)]
	if !known {
		line = t.series[other]
	}
	line.count[outcome].Inc()
	line.duration[outcome].Observe(took.Seconds())
	if t.logger != nil {
		t.logger.DebugContext(ctx, "sql statement", "sql", sql, "seconds", took.Seconds(), "ok", err == nil)
	}
}

// firstWord gives the statement's verb in capitals.
func firstWord(sql string) string {
	sql = strings.TrimLeft(sql, " \t\n(")
	if i := strings.IndexFunc(sql, func(r rune) bool { return r < 'A' || r > 'z' }); i >= 0 {
		sql = sql[:i]
	}
	return strings.ToUpper(sql)
}

func registerPool(reg prometheus.Registerer, pool *sql.DB) error {
	if reg == nil {
		return nil
	}
	return reg.Register(collectors.NewDBStatsCollector(pool, "kas_fleet_manager"))
}
