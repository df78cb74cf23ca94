package invariant

import (
	"context"
	_ "embed"
	"fmt"
	"slices"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

//go:embed watch.sql
var watching string

// Watch has the database itself note what no later look could find: terms that
// overlap, writes of leaders that are none, limits that were exceeded for a
// moment. The connections of each replica must bear its address as their name.
func Watch(ctx context.Context, d *db.DB) error {
	// One simple query: the text holds statements with colons and question marks
	// that are nobody's placeholders.
	pool, err := d.Gorm(ctx).DB()
	if err == nil {
		_, err = pool.ExecContext(ctx, watching)
	}
	if err != nil {
		return fmt.Errorf("installing the watch: %w", err)
	}
	return nil
}

// watched gives what the database noted.
func (c *check) watched() error {
	installed, err := c.installed()
	if err != nil || !installed {
		return err
	}
	var breaches []struct{ At, Invariant, What string }
	if err := c.scan(&breaches, "SELECT at::text, invariant, what FROM watch.breaches ORDER BY at"); err != nil {
		return err
	}
	for _, b := range breaches {
		c.violated(b.Invariant, "at %s %s", b.At, b.What)
	}
	return nil
}

// clusterStatuses holds the clusters' changes against their table (I4).
func (c *check) clusterStatuses() error {
	installed, err := c.installed()
	if err != nil || !installed {
		return err
	}
	var changes []struct {
		ID          string
		Was, Became cluster.Status
	}
	if err := c.scan(&changes, "SELECT DISTINCT id, was, became FROM watch.cluster_statuses"); err != nil {
		return err
	}
	for _, change := range changes {
		if !slices.ContainsFunc(cluster.Transitions(), func(t cluster.Transition) bool {
			return t.To == change.Became && slices.Contains(t.From, change.Was)
		}) {
			c.violated("I4", "cluster %s went from %s to %s, which the table does not have", change.ID, change.Was, change.Became)
		}
	}
	return nil
}

func (c *check) installed() (bool, error) {
	var there bool
	err := c.scan(&there, "SELECT to_regnamespace('watch') IS NOT NULL")
	return there, err
}
