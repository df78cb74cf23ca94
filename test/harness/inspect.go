package harness

import (
	"slices"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/test/invariant"
)

// logTail is how much of the log a failed test shows.
const logTail = 80

// inspect runs when everything has ended, and holds the world against what must
// be true of it whatever the test did.
func (w *World) inspect() {
	ctx, cancel := w.context()
	defer cancel()
	found, err := invariant.Check(ctx, w.Fleet())
	if err != nil {
		w.t.Error(err)
	}
	for _, violation := range found {
		w.t.Error(violation)
	}
	if strings.Contains(strings.ToLower(w.logs.String()), `panic`) {
		w.t.Error("something panicked, see the log")
	}
	if w.t.Failed() {
		w.t.Logf("the end of the log:\n%s", w.logs.tail(logTail))
	}
}

// Fleet is what the checker of invariants sees of the world. It knows nothing of
// replies; a test that has them adds them.
func (w *World) Fleet() invariant.Fleet {
	return invariant.Fleet{DB: w.DB, Outside: w.ours, Secrets: w.secrets.in, Log: w.logs.String()}
}

// ours is what is outside and not somebody else's.
func (w *World) ours() invariant.Outside {
	var out invariant.Outside
	for _, c := range w.SSO.Clients(w.AccountRealm()) {
		switch {
		case w.o.provider == RedHatSSO && c.Attributes["rh-org-id"] != ServiceOrganisation:
		case w.o.provider == RedHatSSO && slices.ContainsFunc(w.o.clusters, func(one Cluster) bool { return one.ID == c.Name }):
			out.Clients = append(out.Clients, "kas-fleetshard-agent-"+c.Name)
		case w.o.provider == RedHatSSO:
			out.Clients = append(out.Clients, c.Name)
		case c.ClientID != adminClient && !strings.HasPrefix(c.ClientID, "foreign-"):
			out.Clients = append(out.Clients, c.ClientID)
		}
	}
	for _, r := range w.DNS.Records() {
		if !strings.HasPrefix(r.Name, "foreign-") {
			out.Records = append(out.Records, r.Name)
		}
	}
	for _, s := range w.AMS.Subscriptions() {
		out.Subscriptions = append(out.Subscriptions, s.ClusterID)
	}
	return out
}
