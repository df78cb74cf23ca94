package invariant

import (
	"slices"
)

// intent is an open line of the ledger.
type intent struct{ OwnerKind, OwnerID, Kind, Key, State string }

// openIntents gives what somebody looks after. What was closed in doubt belongs to
// it: for an hour the sweeper removes what appears late.
const openIntents = `SELECT owner_kind, owner_id, kind, key, state FROM external_resources
	WHERE state <> 'gone' OR last_error = 'closed without having been seen created' AND updated_at > now() - interval '1 hour'`

// outside compares the world with the ledger (I1, I2). Things come and go while it
// looks: only what is found before and after the ledger was read counts.
func (c *check) outside() error {
	if c.fleet.Outside == nil {
		return nil
	}
	before := c.fleet.Outside()
	var open []intent
	if err := c.scan(&open, openIntents); err != nil {
		return err
	}
	after := c.fleet.Outside()
	for _, kind := range []struct {
		name          string
		before, after []string
	}{
		{"sso_client", before.Clients, after.Clients},
		{"dns_record", before.Records, after.Records},
		{"addon", before.Addons, after.Addons},
		{"ams_subscription", before.Subscriptions, after.Subscriptions},
	} {
		c.orphans(kind.name, kind.before, kind.after, open)
		c.doubles(kind.name, kind.after)
		if c.fleet.Rest && kind.name != "addon" {
			c.missing(kind.name, kind.after, open)
		}
	}
	return nil
}

func (c *check) orphans(kind string, before, after []string, open []intent) {
	for _, key := range after {
		known := slices.ContainsFunc(open, func(i intent) bool { return i.Kind == kind && i.Key == key })
		if !known && slices.Contains(before, key) {
			c.violated("I1", "%s %s is outside and in nobody's ledger", kind, key)
		}
	}
}

func (c *check) doubles(kind string, keys []string) {
	sorted := slices.Sorted(slices.Values(keys))
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			c.violated("I2", "%s %s is outside twice", kind, sorted[i])
		}
	}
}

// missing finds what the ledger believes to exist and what does not.
func (c *check) missing(kind string, keys []string, open []intent) {
	for _, i := range open {
		if i.Kind == kind && i.State == "created" && !slices.Contains(keys, i.Key) {
			c.violated("I1", "%s %s of %s %s is in the ledger and not outside", kind, i.Key, i.OwnerKind, i.OwnerID)
		}
	}
}

// erased demands that nothing is left of an erased instance in the ledger (I1).
func (c *check) erased() error {
	var left []intent
	err := c.scan(&left, `SELECT r.owner_kind, r.owner_id, r.kind, r.key, r.state FROM external_resources r
		LEFT JOIN kafka_requests k ON k.id = r.owner_id AND k.deleted_at IS NULL
		WHERE r.owner_kind = 'kafka' AND r.state <> 'gone' AND k.id IS NULL`)
	for _, i := range left {
		c.violated("I1", "%s %s is %s, but its instance %s is erased", i.Kind, i.Key, i.State, i.OwnerID)
	}
	return err
}

// reserved demands that every instance which accounts management pays for has its
// quota there, from the moment at which a customer can see it (I1).
func (c *check) reserved() error {
	var without []struct{ ID, Status string }
	err := c.scan(&without, `SELECT k.id, k.status FROM kafka_requests k WHERE k.deleted_at IS NULL AND k.quota_type = 'ams'
		AND k.status NOT IN ('reserving', 'deleting') AND NOT EXISTS (SELECT 1 FROM external_resources r
			WHERE r.owner_kind = 'kafka' AND r.owner_id = k.id AND r.kind = 'ams_subscription' AND r.state = 'created')`)
	for _, k := range without {
		c.violated("I1", "%s is %s without having its quota reserved", k.ID, k.Status)
	}
	return err
}
