package access_test

import (
	"crypto/rsa"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/access"
	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/test/campaign"
)

// endless sends 100 MiB unless somebody stops it, and counts what it got rid of.
type endless struct{ sent atomic.Int64 }

func (e *endless) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	chunk := []byte(strings.Repeat(" ", 64<<10))
	for e.sent.Load() < 100<<20 {
		n, err := w.Write(chunk)
		e.sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}

// TestStrangersCannotAbuseTheKeyServers: while thousands of tokens name keys that
// do not exist, and the server of the keys is down, slow, endless or sends us
// elsewhere, it is asked at most three times in two cooldowns, no redirect is
// followed and no customer is refused. A key that is new then is accepted within
// a cooldown and a second. CAMPAIGN=1 does it at the pace of production.
func TestStrangersCannotAbuseTheKeyServers(t *testing.T) {
	run := campaign.Begin(t, campaign.Tier{Short: 2_000, Full: 10_000})
	slack := 20 * time.Second // other tests run at once, on machines of any size
	pace := access.Pace{Refresh: time.Hour, Cooldown: time.Second, Timeout: 900 * time.Millisecond}
	if run.Full {
		slack, pace = time.Second, access.Pace{Refresh: 10 * time.Minute, Cooldown: 30 * time.Second, Timeout: 5 * time.Second}
	}
	var elsewhere atomic.Int32 // connections to where redirects lead
	trap := httptest.NewUnstartedServer(http.NotFoundHandler())
	trap.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			elsewhere.Add(1)
		}
	}
	trap.Start()
	t.Cleanup(trap.Close)
	flood := &endless{}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusTemporaryRedirect) }
	}
	servers := map[string]http.HandlerFunc{
		"sound":               nil,
		"down":                func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"slow":                func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"100 MiB":             flood.ServeHTTP,
		"redirect to us":      redirect(trap.URL),
		"redirect link-local": redirect("http://169.254.169.254/latest/meta-data"),
	}
	t.Run("servers", func(t *testing.T) { // ends when all of them have
		for name, answer := range servers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				a := &attack{w: newWorld(t, func(w *world) { w.pace = pace }), strangers: run.N, slack: slack}
				a.run(t, answer)
				run.Count("tokens", int(a.sent.Load()))
				run.Count("downloads", int(a.w.users.downloads.Load()))
			})
		}
	})
	require.Zero(t, elsewhere.Load(), "connections to where a redirect led")
	require.Less(t, flood.sent.Load(), int64(32<<20), "bytes of an endless reply, the kernel's buffers among them")
}

type attack struct {
	w         *world
	strangers int
	slack     time.Duration
	sent      atomic.Int64
}

func (a *attack) run(t *testing.T, answer http.HandlerFunc) {
	require.Eventually(t, func() bool { return a.ask(a.w.users.token(a.w.alice())) == nil }, 30*time.Second, 10*time.Millisecond)
	first, already := time.Now(), int(a.w.users.downloads.Load()) // one, but on a machine that is too busy to answer
	if answer != nil {
		a.w.users.answerWith(answer)
	}
	const attackers = 4
	period := 2 * a.w.pace.Cooldown
	var all sync.WaitGroup
	for i := range attackers {
		all.Go(func() { a.strange(t, i, attackers, first.Add(period)) })
	}
	all.Go(func() { a.honest(t, first.Add(period)) })
	all.Wait()
	// One before the attack, one each time a cooldown is over: three in two cooldowns.
	during := int(a.w.users.downloads.Load()) - already
	require.LessOrEqual(t, during, int(time.Since(first)/a.w.pace.Cooldown)+1)
	if time.Since(first) < period+a.w.pace.Cooldown/2 {
		require.LessOrEqual(t, 1+during, 3)
	}
	require.Zero(t, a.w.sso.downloads.Load()+a.w.admins.downloads.Load(), "other issuers have nothing to do with it")
	a.rotate(t)
}

func (a *attack) ask(token string) error {
	_, err := a.w.call(http.MethodGet, kafkas, "", token)
	return err
}

// strange sends its share of tokens with keys of random names over the whole period.
func (a *attack) strange(t *testing.T, i, of int, until time.Time) {
	claims := `{"iss":"` + a.w.config.TokenIssuer + `","iat":1,"exp":99999999999}`
	pause := time.NewTicker(max(time.Until(until)/time.Duration(a.strangers/of+1), time.Microsecond))
	defer pause.Stop()
	for j := range a.strangers / of {
		<-pause.C
		err := a.ask(raw(fmt.Sprintf(`{"alg":"RS256","kid":"k-%d-%d"}`, i, j), claims, "s"))
		a.sent.Add(1)
		if apierr.From(err).Code != apierr.Unauthenticated {
			t.Errorf("a stranger: %v", err)
		}
		if time.Now().After(until) {
			return // a slow server of keys holds up strangers, and only them
		}
	}
}

// honest sends sound tokens, new ones and such as are remembered.
func (a *attack) honest(t *testing.T, until time.Time) {
	remembered := a.w.users.token(a.w.alice())
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for i := 0; time.Now().Before(until); i++ {
		<-pause.C
		began := time.Now()
		fresh := a.w.users.token(with(a.w.alice(), jwt.MapClaims{"jti": fmt.Sprint(i)}))
		for _, token := range []string{remembered, fresh} {
			if err := a.ask(token); err != nil {
				t.Errorf("a customer was refused: %v", err)
				return
			}
		}
		if took := time.Since(began); took > a.w.pace.Cooldown+a.slack {
			t.Errorf("a customer waited %s", took)
		}
	}
}

// rotate publishes a new key while strangers go on.
func (a *attack) rotate(t *testing.T) {
	a.w.users.publish(jwks(map[string]*rsa.PrivateKey{"user-key": keys()[0], "next": keys()[3]}))
	published := time.Now()
	rotated := a.w.stranger("next")
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for n := 0; a.ask(rotated) != nil; n++ {
		<-ticker.C
		_ = a.ask(raw(fmt.Sprintf(`{"alg":"RS256","kid":"late-%d"}`, n), `{"iss":"`+a.w.config.TokenIssuer+`"}`, "s"))
		if time.Since(published) > a.w.pace.Cooldown+a.slack {
			break
		}
	}
	require.Less(t, time.Since(published), a.w.pace.Cooldown+a.slack, "until the new key counts")
	require.NoError(t, a.ask(rotated))
}
