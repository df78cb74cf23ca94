package reconcile

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Loop is one kind of work on the rows of one table. A key is the id of a row.
type Loop struct {
	Name    string        // label worker_type of the metrics
	Workers int           // keys that are worked on at the same time
	Tick    time.Duration // Due is asked at least this often
	Timeout time.Duration // for the work on one key

	// Due lists up to limit keys that are due now.
	Due func(ctx context.Context, limit int) ([]string, error)
	// Wakes gives the key that a notification concerns, if it concerns this loop.
	// Nil: none does.
	Wakes func(payload string) (key string, ok bool)
	// Work takes the key one step further. again > 0 runs it once more after that
	// time. The context ends with the deadline and with the leadership.
	Work func(ctx context.Context, tx db.TxFunc, key string) (again time.Duration, err error)
	// Failed stores that Work failed and when the row is due next. Nil: the engine
	// alone remembers. again > 0 runs the key once more after that time.
	Failed func(ctx context.Context, tx db.TxFunc, key string, cause error) (again time.Duration, err error)
}

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = time.Minute
)

// Backoff is how long to wait after so many failed attempts in a row: twice as
// long each time, up to a minute, spread over its upper half so that what failed
// together is not tried together.
func Backoff(attempts int) time.Duration {
	full := min(firstBackoff<<min(max(attempts, 0), 16), lastBackoff)
	return full/2 + rand.N(full/2+1)
}

// Config holds the rhythm of all loops.
type Config struct{ Tick time.Duration }

// Flags adds the flags of the reconcilers with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.DurationVar(&c.Tick, "reconciler-repeat-interval", 30*time.Second, "How often reconcilers look for due work that no notification announced")
}

// Validate reports a rhythm that would be a busy loop.
func (c *Config) Validate() error {
	if c.Tick < 10*time.Millisecond {
		return errors.New("reconciler-repeat-interval: must be at least 10ms")
	}
	return nil
}
