package upstream

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	"github.com/kas-fleet/kas-fleet-manager/test/harness"
)

// lives of one round.
const lives = 4

// TestUpstreamsAreNotBelieved lets every upstream put one hostile value into some of
// its replies: texts that break lines, statements and pages, numbers out of range,
// other types, other names. Nothing may fall over, nothing of it may be shown to a
// customer or an agent, and when it is over everything is as it should be.
func TestUpstreamsAreNotBelieved(t *testing.T) {
	t.Parallel()
	run := campaign.Begin(t, campaign.Tier{Short: 2, Full: 200})
	for i := range run.Rounds() {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			random := run.Rand(i)
			poison := func(w *harness.World, names ...string) {
				for _, name := range names {
					u := upstreams(w)[name]
					u.Inject(emulator.Fault{Path: u.path, Mode: emulator.Poison, Probability: 0.25, Seed: random.Int64()})
				}
			}
			// An agent with a wrong secret would never get in, so the SSO is honest until the cluster is there.
			w := harness.New(t, patient, harness.Faulty(), harness.QuotaList(quota(lives)), harness.Before(func(w *harness.World) { poison(w, "ams", "dns", "ocm") }))
			poison(w, "sso")
			alice := w.As(harness.Alice)
			show := func(method, path string, body any) {
				reply, err := alice.Try(t.Context(), method, path, body)
				require.NoError(t, err)
				assert.NotContains(t, withoutTexts(path, reply.Body), emulator.Venom, "%s %s", method, path)
			}
			var ids []string
			for n := range lives {
				ids = append(ids, alice.CreateKafka("k"+strconv.Itoa(n)).ID)
			}
			for _, id := range ids {
				w.WaitRow(id, "an end of its beginning", func(k kafka.Kafka) bool { return k.Status == kafka.Ready || k.Status == kafka.Failed })
				show(http.MethodGet, "/kafkas/"+id, nil)
				show(http.MethodPatch, "/kafkas/"+id, map[string]any{"owner": harness.Bob})
				show(http.MethodPost, "/service_accounts", `{"name":"one"}`)
				show(http.MethodGet, "/service_accounts", nil)
			}
			list, err := w.AsAgent(harness.ClusterOne).Try(t.Context(), http.MethodGet, "/agent-clusters/"+harness.ClusterOne+"/kafkas", nil)
			require.NoError(t, err)
			assert.NotContains(t, withoutSecrets(list.Body), emulator.Venom, "an agent")
			heal(w)
			for _, id := range ids {
				w.As(harness.Carol).Delete(id)
				w.WaitGone(id)
			}
			nothingStored(t, w)
			nothingForged(t, w)
			nothingLeft(t, w)
			run.Count("poisoned", poisoned(w))
		})
	}
}

// A secret may be any text; what has the wrong shape for one is refused. So may what
// people of the SSO are called, what they call an account, and how they describe it.
var (
	secretFields = regexp.MustCompile(`"(client_secret|password)":"[!-~]{1,600}?"`)
	freeTexts    = regexp.MustCompile(`"(name|description|created_by|owner)":"(\\.|[^"\\])*"`)
)

func withoutSecrets(body []byte) string { return secretFields.ReplaceAllString(string(body), "") }

func withoutTexts(path string, body []byte) string {
	if path != "/service_accounts" {
		return withoutSecrets(body)
	}
	return freeTexts.ReplaceAllString(withoutSecrets(body), "")
}

func poisoned(w *harness.World) (n int) {
	for _, u := range upstreams(w) {
		for _, entry := range u.Journal() {
			if entry.Fault == string(emulator.Poison) {
				n++
			}
		}
	}
	return n
}

// nothingStored looks for the venom in all that a later step would act on.
func nothingStored(t *testing.T, w *harness.World) {
	t.Helper()
	for table, apart := range map[string]string{"kafka_requests": "last_error", "clusters": "last_error", "external_resources": "last_error"} {
		var found []string
		w.Scan(&found, "SELECT c.k || ' = ' || left(c.v, 200) FROM "+table+" r, jsonb_each_text(to_jsonb(r) - '"+apart+"') AS c (k, v) WHERE c.v LIKE '%"+emulator.Venom+"%'")
		assert.Empty(t, found, table)
	}
}

// nothingForged demands that each line of the log is one JSON object of ours.
func nothingForged(t *testing.T, w *harness.World) {
	t.Helper()
	for line := range strings.Lines(w.Log()) {
		var entry struct{ Time, Level, Msg string }
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		require.NotEmpty(t, entry.Time+entry.Level, line)
		require.NotEqual(t, "forged", entry.Msg)
	}
}
