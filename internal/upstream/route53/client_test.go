package route53_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/route53"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator"
	emulated "github.com/kas-fleet/kas-fleet-manager/test/emulator/route53"
)

const domain = "kafka.sandbox.test"

type world struct {
	state  *emulated.Route53
	faults *emulator.Emulated
	client *route53.Client
	clock  *atomic.Int64 // seconds
}

func newWorld(t *testing.T, zones ...emulated.Zone) world {
	t.Helper()
	if zones == nil {
		zones = []emulated.Zone{
			{ID: "ZPRIVATE", Name: domain, Private: true}, {ID: "ZPUBLIC", Name: domain},
			{ID: "ZNEXT", Name: "zzz.sandbox.test"}, {ID: "ZOTHER", Name: "test"},
		}
	}
	w := world{clock: &atomic.Int64{}}
	w.state = emulated.New(emulated.Options{
		Zones: zones, SyncAfter: time.Minute, AccessKey: "AKIDEXAMPLE",
		Now: func() time.Time { return time.Unix(w.clock.Load(), 0) },
	})
	w.faults = emulator.Wrap("route53", w.state.Handler())
	server := httptest.NewServer(w.faults)
	t.Cleanup(server.Close)
	t.Cleanup(w.faults.ClearFaults)
	w.client = w.dial(t, server.URL, 5*time.Second)
	return w
}

func (w world) dial(t *testing.T, url string, timeout time.Duration) *route53.Client {
	t.Helper()
	client, err := route53.New(route53.Config{
		EndpointURL: url, Domain: domain, AccessKey: "AKIDEXAMPLE", SecretAccessKey: "s3cr3t", Timeout: timeout,
	})
	require.NoError(t, err)
	return client
}

func records(names ...string) []route53.Record {
	all := []route53.Record{}
	for _, name := range names {
		all = append(all, route53.Record{Name: name + "." + domain, Target: "router.mk-one.example.test", TTL: 300})
	}
	return all
}

func names(all []route53.Record) []string {
	out := []string{}
	for _, r := range all {
		out = append(out, r.Name)
	}
	return out
}

func ours(r route53.Record) bool { return r.Target == "router.mk-one.example.test" }

func TestZoneIsExactPublicAndKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		zone, err := w.client.Zone(t.Context())
		require.NoError(t, err)
		require.Equal(t, "ZPUBLIC", zone)
	}
	require.Len(t, w.faults.JournalOf(http.MethodGet, "hostedzonesbyname"), 1)
}

func TestWrongZoneIsNeverUsed(t *testing.T) {
	t.Parallel()
	for name, zones := range map[string][]emulated.Zone{
		"only the next in order": {{ID: "ZNEXT", Name: "kafkb.sandbox.test"}},
		"only a private one":     {{ID: "ZPRIVATE", Name: domain, Private: true}},
		"a parent":               {{ID: "ZPARENT", Name: "sandbox.test"}},
		"two of the name":        {{ID: "Z1", Name: domain}, {ID: "Z2", Name: domain}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, zones...)
			_, err := w.client.Upsert(t.Context(), records("a"))
			require.ErrorIs(t, err, route53.ErrRefused)
			_, err = w.client.Delete(t.Context(), names(records("a")), ours)
			require.ErrorIs(t, err, route53.ErrRefused)
			require.NotErrorIs(t, err, route53.ErrNotFound)
			require.Empty(t, w.faults.JournalOf(http.MethodPost, ""))
		})
	}
}

func TestRecordOutsideTheDomainIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"a.other.test", domain, "evil" + domain, ""} {
		_, err := w.client.Upsert(t.Context(), []route53.Record{{Name: name, Target: "x.test", TTL: 300}})
		require.ErrorIs(t, err, route53.ErrRefused, name)
		_, err = w.client.Records(t.Context(), []string{name})
		require.ErrorIs(t, err, route53.ErrRefused, name)
	}
	_, err := w.client.Upsert(t.Context(), nil)
	require.ErrorIs(t, err, route53.ErrRefused)
	require.Empty(t, w.faults.JournalOf(http.MethodPost, ""))
}

func TestUpsertTwiceAndInSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.client.Upsert(t.Context(), records("a", "admin-server-a", "broker-0-a"))
	require.NoError(t, err)
	second, err := w.client.Upsert(t.Context(), records("a", "admin-server-a", "broker-0-a"))
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.Len(t, w.state.Records(domain), 3)

	synced, err := w.client.InSync(t.Context(), second)
	require.NoError(t, err)
	require.False(t, synced)
	w.clock.Add(60)
	synced, err = w.client.InSync(t.Context(), second)
	require.NoError(t, err)
	require.True(t, synced)

	w.state.ForgetChanges()
	_, err = w.client.InSync(t.Context(), second)
	require.ErrorIs(t, err, route53.ErrNotFound)
}

func TestRecordsGivesExactlyTheNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.client.Upsert(t.Context(), records("a", "b", "c"))
	require.NoError(t, err)
	got, err := w.client.Records(t.Context(), []string{"a." + domain, "C." + domain + ".", "aa." + domain, "zz." + domain})
	require.NoError(t, err)
	require.Equal(t, records("a", "c"), got)
}

func TestDeleteTakesWhatIsThereAndOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.client.Upsert(t.Context(), records("a", "b", "changed", "stays"))
	require.NoError(t, err)
	w.state.Put("ZPUBLIC", emulated.Record{Name: "b." + domain, Type: "CNAME", TTL: 300, Values: []string{"someone.else.test"}})
	w.state.Put("ZPUBLIC", emulated.Record{Name: "changed." + domain, Type: "CNAME", TTL: 77, Values: []string{"Router.mk-one.example.test."}})

	wanted := names(records("a", "b", "changed", "missing"))
	done, err := w.client.Delete(t.Context(), wanted, ours)
	require.NoError(t, err)
	require.NotEmpty(t, done.ChangeID)
	require.Equal(t, []route53.Record{{Name: "b." + domain, Target: "someone.else.test", TTL: 300}}, done.Kept)
	left := w.state.Records(domain)
	require.Len(t, left, 2)
	require.Equal(t, "b."+domain, left[0].Name)
	require.Equal(t, "stays."+domain, left[1].Name)

	done, err = w.client.Delete(t.Context(), wanted, ours)
	require.NoError(t, err)
	require.Empty(t, done.ChangeID)
}

func TestDeleteOvertakenReadsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.client.Upsert(t.Context(), records("a", "b"))
	require.NoError(t, err)
	first := true
	done, err := w.client.Delete(t.Context(), names(records("a", "b")), func(r route53.Record) bool {
		if first { // another session changes the value between our read and our batch
			first = false
			w.state.Put("ZPUBLIC", emulated.Record{Name: r.Name, Type: "CNAME", TTL: 60, Values: []string{r.Target}})
		}
		return ours(r)
	})
	require.NoError(t, err)
	require.NotEmpty(t, done.ChangeID)
	require.Empty(t, w.state.Records(domain))
}

func TestEffectThenErrorIsHealed(t *testing.T) {
	t.Parallel()
	for _, mode := range []emulator.Mode{emulator.After, emulator.ResetAfter} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.faults.Inject(emulator.Fault{Method: http.MethodPost, Mode: mode, Times: 3})
			_, err := w.client.Upsert(t.Context(), records("a", "b"))
			require.ErrorIs(t, err, route53.ErrUnavailable)
			require.Len(t, w.faults.JournalOf(http.MethodPost, ""), 3, "two retries")
			change, err := w.client.Upsert(t.Context(), records("a", "b"))
			require.NoError(t, err)
			require.NotEmpty(t, change)
			require.Len(t, w.state.Records(domain), 2)

			w.faults.Inject(emulator.Fault{Method: http.MethodPost, Mode: mode, Times: 1})
			_, err = w.client.Delete(t.Context(), names(records("a", "b")), ours)
			require.NoError(t, err)
			require.Empty(t, w.state.Records(domain))
		})
	}
}

func TestFailuresAreClassified(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault emulator.Fault
		want  error
	}{
		"throttled": {emulator.Fault{Mode: emulator.Before, Status: http.StatusTooManyRequests}, route53.ErrThrottled},
		"forbidden": {emulator.Fault{Mode: emulator.Before, Status: http.StatusForbidden}, route53.ErrRefused},
		"broken":    {emulator.Fault{Mode: emulator.Before, Status: http.StatusInternalServerError}, route53.ErrUnavailable},
		"garbage":   {emulator.Fault{Mode: emulator.Garbage}, route53.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.faults.Inject(c.fault)
			_, err := w.client.Upsert(t.Context(), records("a"))
			require.ErrorIs(t, err, c.want)
			require.NotContains(t, err.Error(), "s3cr3t")
		})
	}
	t.Run("garbage is not an empty zone", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		change, err := w.client.Upsert(t.Context(), records("a"))
		require.NoError(t, err)
		w.faults.Inject(emulator.Fault{Mode: emulator.Garbage})
		_, err = w.client.Delete(t.Context(), names(records("a")), ours)
		require.ErrorIs(t, err, route53.ErrUnavailable)
		_, err = w.client.InSync(t.Context(), change)
		require.ErrorIs(t, err, route53.ErrUnavailable)
		_, err = w.client.Upsert(t.Context(), records("a"))
		require.ErrorIs(t, err, route53.ErrUnavailable)
	})
	t.Run("batch refused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.state.Put("ZPUBLIC", emulated.Record{Name: "a." + domain, Type: "A", TTL: 60, Values: []string{"127.0.0.1"}})
		_, err := w.client.Upsert(t.Context(), records("a", "b"))
		require.ErrorIs(t, err, route53.ErrRefused)
		require.ErrorContains(t, err, "conflicting RRSet of type A")
		require.Len(t, w.state.Records(domain), 1, "the batch is atomic")
	})
	t.Run("wrong key", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(emulated.New(emulated.Options{AccessKey: "OTHER"}).Handler())
		t.Cleanup(server.Close)
		_, err := world{}.dial(t, server.URL, time.Second).Zone(t.Context())
		require.ErrorIs(t, err, route53.ErrRefused)
	})
}

func TestHangEndsAtTheDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := httptest.NewServer(w.faults)
	t.Cleanup(server.Close)
	client := w.dial(t, server.URL, 200*time.Millisecond)
	w.faults.Inject(emulator.Fault{Mode: emulator.Hang})
	start := time.Now()
	_, err := client.Zone(t.Context())
	require.ErrorIs(t, err, route53.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 5*time.Second)
	w.faults.ClearFaults()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, secret := filepath.Join(dir, "key"), filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(key, []byte("AKID\n"), 0o600))
	require.NoError(t, os.WriteFile(secret, []byte("s3cr3t\n"), 0o600))
	var c route53.Config
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	c.Flags(fs)
	require.NoError(t, fs.Parse([]string{"--aws-route53-access-key-file", key, "--aws-route53-secret-access-key-file", secret}))
	require.NoError(t, c.Validate())
	require.Equal(t, "AKID", c.AccessKey)
	require.Equal(t, "s3cr3t", c.SecretAccessKey.Reveal())

	c.AccessKeyFile, c.SecretAccessKeyFile, c.EndpointURL = filepath.Join(dir, "no"), filepath.Join(dir, "none"), "nonsense"
	err := c.Validate()
	for _, flag := range []string{"aws-route53-access-key-file", "aws-route53-secret-access-key-file", "aws-route53-endpoint-url"} {
		require.ErrorContains(t, err, flag)
	}
	_, err = route53.New(route53.Config{Domain: domain})
	require.Error(t, err)
}
