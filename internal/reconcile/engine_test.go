package reconcile_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/reconcile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench runs one loop in virtual time, without a database: the engine's own
// decisions are about time and order only.
type bench struct {
	engine   *reconcile.Engine
	metrics  *prometheus.Registry
	log      *strings.Builder
	reported []error
	stop     func()
}

func start(t *testing.T, l reconcile.Loop) *bench {
	b := &bench{metrics: prometheus.NewRegistry(), log: &strings.Builder{}}
	m, err := reconcile.NewMetrics(b.metrics, l.Name, "another")
	require.NoError(t, err)
	var mutex sync.Mutex
	b.engine = reconcile.New(log.New(b.log, slog.LevelDebug), m, func(_ context.Context, err error) {
		mutex.Lock()
		defer mutex.Unlock()
		b.reported = append(b.reported, err)
	})
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := b.engine.Run(ctx, noTx, []reconcile.Loop{l}); err != nil {
			t.Error(err)
		}
	})
	b.stop = func() { cancel(); group.Wait() }
	synctest.Wait()
	return b
}

func noTx(context.Context, func(db.Tx) error) error { return errors.New("no database here") }

func (b *bench) value(t *testing.T, name, loop string) float64 {
	families, err := b.metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "kas_fleet_manager_"+name && m.GetLabel()[0].GetValue() == loop {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	require.Failf(t, "no such series", "%s of %s", name, loop)
	return 0
}

func loop(work func(ctx context.Context, key string) (time.Duration, error)) reconcile.Loop {
	return reconcile.Loop{
		Name: "accepted_kafka", Workers: 4, Tick: 30 * time.Second, Timeout: 10 * time.Second,
		Due:   func(context.Context, int) ([]string, error) { return nil, nil },
		Wakes: func(payload string) (string, bool) { return strings.CutPrefix(payload, "accepted ") },
		Work: func(ctx context.Context, _ db.TxFunc, key string) (time.Duration, error) {
			return work(ctx, key)
		},
	}
}

func TestWakeIsWorkedOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var worked []string
		b := start(t, loop(func(_ context.Context, key string) (time.Duration, error) {
			worked = append(worked, key)
			return 0, nil
		}))
		defer b.stop()
		b.engine.Wake("ready k0")
		b.engine.Wake("accepted k1")
		synctest.Wait()
		require.Equal(t, []string{"k1"}, worked)
		require.Equal(t, 1.0, b.value(t, "reconciler_success_count", "accepted_kafka"))
		require.Equal(t, 1.0, b.value(t, "leader_worker", "accepted_kafka"))
		require.Zero(t, b.value(t, "leader_worker", "another"))
	})
}

func TestTheEngineTakesWhatItsLoopsCanDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, loop(func(context.Context, string) (time.Duration, error) { return 0, nil }))
		require.True(t, b.engine.Take("accepted k1"))
		require.True(t, b.engine.Take("ready k1"), "nobody else would do it either")
		b.stop()
		require.False(t, b.engine.Take("accepted k2"), "another process leads, or will")
	})
}

func TestKeyNeverRunsTwiceAtOnceAndNoWakeIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, runs atomic.Int32
		b := start(t, loop(func(context.Context, string) (time.Duration, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			runs.Add(1)
			time.Sleep(time.Second)
			return 0, nil
		}))
		defer b.stop()
		b.engine.Wake("accepted k1")
		synctest.Wait()
		for range 10 {
			b.engine.Wake("accepted k1")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, most.Load())
		require.EqualValues(t, 2, runs.Load(), "ten wakes while it ran are one more run")
	})
}

func TestWorkersWorkSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		b := start(t, loop(func(context.Context, string) (time.Duration, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			return 0, nil
		}))
		defer b.stop()
		for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
			b.engine.Wake("accepted " + key)
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 4, most.Load())
		require.EqualValues(t, 2, running.Load())
	})
}

func TestTickAndReconnectFindWhatNobodyAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		due := make(chan string, 1)
		var worked []string
		l := loop(func(_ context.Context, key string) (time.Duration, error) {
			worked = append(worked, key)
			return 0, nil
		})
		l.Due = func(context.Context, int) ([]string, error) {
			select {
			case found := <-due:
				return []string{found}, nil
			default:
				return nil, nil
			}
		}
		due <- "at the start"
		b := start(t, l)
		defer b.stop()
		due <- "at the tick"
		time.Sleep(34 * time.Second)
		synctest.Wait()
		due <- "at a reconnect"
		b.engine.WakeAll()
		synctest.Wait()
		require.Equal(t, []string{"at the start", "at the tick", "at a reconnect"}, worked)
	})
}

func TestFullListIsFollowedByTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := 1000
		var mutex sync.Mutex
		done := map[string]bool{}
		l := loop(func(_ context.Context, key string) (time.Duration, error) {
			mutex.Lock()
			defer mutex.Unlock()
			done[key] = true
			return 0, nil
		})
		l.Due = func(_ context.Context, limit int) (found []string, _ error) {
			mutex.Lock()
			defer mutex.Unlock()
			for range min(limit, left) {
				left--
				found = append(found, strings.Repeat("x", left+1))
			}
			return found, nil
		}
		b := start(t, l)
		defer b.stop()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		mutex.Lock()
		defer mutex.Unlock()
		require.Len(t, done, 1000, "it does not wait for ticks while there is work")
	})
}

func TestRowsThatStayDueAreNoBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lists atomic.Int32
		l := loop(func(context.Context, string) (time.Duration, error) { return 0, nil })
		l.Due = func(_ context.Context, limit int) (found []string, _ error) {
			lists.Add(1)
			for i := range limit {
				found = append(found, strings.Repeat("x", i+1))
			}
			return found, nil
		}
		b := start(t, l)
		defer b.stop()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.LessOrEqual(t, lists.Load(), int32(3))
	})
}

func TestAgainRunsLaterAndAWakeEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var at []time.Duration
		b := start(t, loop(func(context.Context, string) (time.Duration, error) {
			at = append(at, time.Since(begin))
			if len(at) == 3 {
				return 0, nil
			}
			return 5 * time.Second, nil
		}))
		defer b.stop()
		b.engine.Wake("accepted k1")
		time.Sleep(7 * time.Second)
		synctest.Wait()
		b.engine.Wake("accepted k1")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []time.Duration{0, 5 * time.Second, 7 * time.Second}, at, "the early run takes the timer's place")
	})
}

func TestPanicIsAnErrorOfItsRowOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var causes []string
		var worked atomic.Int32
		l := loop(func(_ context.Context, key string) (time.Duration, error) {
			if key == "poison" {
				panic("poisonous row")
			}
			worked.Add(1)
			return 0, nil
		})
		l.Workers = 1
		l.Failed = func(_ context.Context, _ db.TxFunc, key string, cause error) (time.Duration, error) {
			causes = append(causes, key+": "+cause.Error())
			return 0, nil
		}
		b := start(t, l)
		b.engine.Wake("accepted poison")
		b.engine.Wake("accepted k1")
		synctest.Wait()
		require.Equal(t, []string{"poison: panic: poisonous row"}, causes)
		require.EqualValues(t, 1, worked.Load())
		require.Equal(t, 1.0, b.value(t, "reconciler_failure_count", "accepted_kafka"))
		require.Equal(t, 1.0, b.value(t, "reconciler_errors_count", "accepted_kafka"))
		b.stop()
		require.Len(t, b.reported, 1)
		require.Contains(t, b.log.String(), "engine_test.go", "the stack is logged")
		require.Contains(t, b.log.String(), `"key":"poison"`)
	})
}

func TestFailedWorkIsTriedAgainWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		work := func(context.Context, string) (time.Duration, error) {
			at = append(at, time.Now())
			return 0, errors.New("upstream down")
		}
		l := loop(work)
		l.Failed = func(context.Context, db.TxFunc, string, error) (time.Duration, error) {
			return 0, errors.New("database down")
		}
		l.Due = func(context.Context, int) ([]string, error) { return []string{"k1"}, nil }
		l.Tick = time.Second
		b := start(t, l)
		time.Sleep(time.Hour)
		synctest.Wait()
		b.stop()
		require.Greater(t, len(at), 60, "it never gives up")
		require.Less(t, len(at), 150, "neither ticks nor lists disturb the back-off")
		last := at[len(at)-1].Sub(at[len(at)-2])
		require.GreaterOrEqual(t, last, 30*time.Second)
		require.LessOrEqual(t, last, time.Minute)
	})
}

func TestFailedHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause, state error
		l := loop(func(ctx context.Context, _ string) (time.Duration, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		l.Failed = func(ctx context.Context, _ db.TxFunc, _ string, err error) (time.Duration, error) {
			cause, state = err, ctx.Err()
			return 0, nil
		}
		b := start(t, l)
		defer b.stop()
		b.engine.Wake("accepted k1")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.ErrorIs(t, cause, context.DeadlineExceeded)
		require.NoError(t, state)
	})
}

func TestEndOfLeadershipIsNoFailureOfTheRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop(func(ctx context.Context, _ string) (time.Duration, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		l.Failed = func(context.Context, db.TxFunc, string, error) (time.Duration, error) {
			t.Error("called")
			return 0, nil
		}
		b := start(t, l)
		b.engine.Wake("accepted k1")
		synctest.Wait()
		b.stop()
		b.engine.Wake("accepted k1")
		require.Zero(t, b.value(t, "reconciler_failure_count", "accepted_kafka"))
		require.Zero(t, b.value(t, "leader_worker", "accepted_kafka"))
		require.Empty(t, b.reported)
	})
}

func TestBackoffGrowsToItsCap(t *testing.T) {
	t.Parallel()
	for attempts, full := range map[int]time.Duration{
		-1: 100 * time.Millisecond, 0: 100 * time.Millisecond, 3: 800 * time.Millisecond, 10: time.Minute, 1 << 40: time.Minute,
	} {
		for range 100 {
			got := reconcile.Backoff(attempts)
			require.GreaterOrEqual(t, got, full/2)
			require.LessOrEqual(t, got, full)
		}
	}
}

func TestLoopWithoutItsNumbersIsRefused(t *testing.T) {
	t.Parallel()
	m, err := reconcile.NewMetrics(prometheus.NewRegistry())
	require.NoError(t, err)
	e := reconcile.New(slog.New(slog.DiscardHandler), m, func(context.Context, error) {})
	require.ErrorContains(t, e.Run(t.Context(), noTx, []reconcile.Loop{{Name: "x"}}), "loop x")
	require.ErrorContains(t, (&reconcile.Config{}).Validate(), "reconciler-repeat-interval")
}
