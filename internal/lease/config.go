package lease

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// Config holds the times of all leases.
type Config struct {
	TTL   time.Duration
	Renew time.Duration
}

// Flags adds the flags of the leader election with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.DurationVar(&c.TTL, "leader-lease-expiration-time", 10*time.Second, "How long a leader lease lasts without renewal")
	fs.DurationVar(&c.Renew, "leader-election-reconciler-repeat-interval", 3*time.Second, "How often a leader lease is renewed, and how often the other replicas look at it")
}

// Validate reports every problem at once. A lease that lasts less than three
// renewals would be lost by a single slow one.
func (c *Config) Validate() error {
	var problems []error
	if c.Renew <= 0 {
		problems = append(problems, errors.New("leader-election-reconciler-repeat-interval: must be positive"))
	}
	if c.TTL < 3*c.Renew {
		problems = append(problems, fmt.Errorf("leader-lease-expiration-time: %s is less than three times leader-election-reconciler-repeat-interval (%s)", c.TTL, c.Renew))
	}
	return errors.Join(problems...)
}

// Options gives what New wants.
func (c *Config) Options(onChange func(leading bool)) Options {
	return Options{TTL: c.TTL, Renew: c.Renew, OnChange: onChange}
}
