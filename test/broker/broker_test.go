package broker

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.uber.org/goleak"
)

const (
	bootstrap = "first-abc.kafka.sandbox.test"
	ours      = "13640203"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider is an identity provider with two client accounts of two organisations.
type provider struct {
	url string
	key *rsa.PrivateKey
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p := &provider{key: key}
	accounts := map[string]struct{ secret, org string }{
		"srvc-acct-ours":   {"right", ours},
		"srvc-acct-theirs": {"right", "99000001"},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		a, ok := accounts[r.FormValue("client_id")]
		if !ok || a.secret != r.FormValue("client_secret") || r.FormValue("grant_type") != "client_credentials" {
			http.Error(w, `{"error":"unauthorized_client"}`, http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `{"access_token":%q}`, p.token(t, r.FormValue("client_id"), a.org, time.Minute))
	})
	mux.HandleFunc("GET /certs", func(w http.ResponseWriter, _ *http.Request) {
		text := base64.RawURLEncoding.EncodeToString
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"RSA","kid":"one","alg":"RS256","n":%q,"e":%q}]}`,
			text(key.N.Bytes()), text(big.NewInt(int64(key.E)).Bytes()))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

func (p *provider) token(t *testing.T, client, org string, life time.Duration) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": p.url, "exp": time.Now().Add(life).Unix(), "clientId": client, "rh-org-id": org,
	})
	token.Header["kid"] = "one"
	text, err := token.SignedString(p.key)
	require.NoError(t, err)
	return text
}

func (p *provider) oauth() *OAuth {
	return &OAuth{
		TokenURL: p.url + "/token", JWKSURL: p.url + "/certs", Issuer: p.url,
		UserNameClaim: "clientId", FallbackUserNameClaim: "preferred_username",
		ClaimCheck: "@.rh-org-id == '" + ours + "'|| @.org_id == '" + ours + "'",
		MaxSession: 299 * time.Second,
	}
}

// world is a router with one instance behind it.
type world struct {
	router    *Router
	authority *Authority
	dialer    Dialer
}

func newWorld(t *testing.T, spec Spec) *world {
	t.Helper()
	authority, err := NewAuthority()
	require.NoError(t, err)
	router, err := StartRouter("127.0.0.1:0", authority, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, router.Close()) })
	b, err := Start(spec)
	require.NoError(t, err)
	require.NoError(t, router.Attach(b))
	return &world{router: router, authority: authority, dialer: Dialer{
		Roots: authority.Pool(),
		Resolve: func(_ context.Context, host string) (string, error) {
			if !strings.HasSuffix(host, bootstrap) {
				return "", errors.New("no such host")
			}
			return router.Addr(), nil
		},
	}}
}

func (w *world) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(bootstrap + ":443"), kgo.Dialer(w.dialer.DialContext), kgo.AllowAutoTopicCreation(),
	}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestProduceAndConsume(t *testing.T) {
	t.Parallel()
	sso := newProvider(t)
	w := newWorld(t, Spec{
		ID: "abc", BootstrapHost: bootstrap, Brokers: 3, OAuth: sso.oauth(),
		Canaries: []Credential{{ClientID: "canary-abc", Secret: "tweet"}},
	})
	logins := map[string]sasl.Mechanism{
		"plain":  plain.Auth{User: "srvc-acct-ours", Pass: "right"}.AsMechanism(),
		"canary": plain.Auth{User: "canary-abc", Pass: "tweet"}.AsMechanism(),
		"bearer": oauth.Auth{Token: sso.token(t, "srvc-acct-ours", ours, time.Minute)}.AsMechanism(),
	}
	for name, login := range logins {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			topic := "topic-" + name
			producer := w.client(t, kgo.SASL(login))
			for _, value := range []string{"one", "two", "three"} {
				require.NoError(t, producer.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr())
			}
			consumer := w.client(t, kgo.SASL(login), kgo.ConsumeTopics(topic), kgo.ConsumerGroup("group-"+name),
				kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			var got []string
			for len(got) < 3 {
				fetches := consumer.PollFetches(ctx)
				require.NoError(t, fetches.Err())
				fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
			}
			require.ElementsMatch(t, []string{"one", "two", "three"}, got)
		})
	}
}

func TestRefusedClients(t *testing.T) {
	t.Parallel()
	sso := newProvider(t)
	w := newWorld(t, Spec{
		ID: "abc", BootstrapHost: bootstrap, OAuth: sso.oauth(),
		Canaries: []Credential{{ClientID: "canary-abc", Secret: "tweet"}, {ClientID: "canary-empty"}},
	})
	other := newProvider(t)
	cases := map[string]sasl.Mechanism{
		"wrong secret":          plain.Auth{User: "srvc-acct-ours", Pass: "wrong"}.AsMechanism(),
		"unknown client":        plain.Auth{User: "nobody", Pass: "right"}.AsMechanism(),
		"other organisation":    plain.Auth{User: "srvc-acct-theirs", Pass: "right"}.AsMechanism(),
		"wrong canary secret":   plain.Auth{User: "canary-abc", Pass: "right"}.AsMechanism(),
		"inside user":           plain.Auth{User: insideUser, Pass: insideUser}.AsMechanism(),
		"token of other org":    oauth.Auth{Token: sso.token(t, "srvc-acct-theirs", "99000001", time.Minute)}.AsMechanism(),
		"token that has ended":  oauth.Auth{Token: sso.token(t, "srvc-acct-ours", ours, -time.Minute)}.AsMechanism(),
		"token of other issuer": oauth.Auth{Token: other.token(t, "srvc-acct-ours", ours, time.Minute)}.AsMechanism(),
	}
	for name, login := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, w.client(t, kgo.SASL(login)).Ping(deadline(t)), kerr.SaslAuthenticationFailed)
		})
	}
	t.Run("other mechanism", func(t *testing.T) {
		t.Parallel()
		login := scram.Auth{User: "srvc-acct-ours", Pass: "right"}.AsSha256Mechanism()
		require.ErrorIs(t, w.client(t, kgo.SASL(login)).Ping(deadline(t)), kerr.UnsupportedSaslMechanism)
	})
	t.Run("no login", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, w.client(t).Ping(ctx))
	})
}

func TestOpenInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Spec{ID: "abc", BootstrapHost: bootstrap})
	require.NoError(t, w.client(t).Ping(deadline(t)))
}

func TestAdvertisedHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Spec{ID: "abc", BootstrapHost: bootstrap, Brokers: 2})
	meta, err := kmsg.NewPtrMetadataRequest().RequestWith(deadline(t), w.client(t))
	require.NoError(t, err)
	hosts := map[string]int32{}
	for _, b := range meta.Brokers {
		hosts[b.Host] = b.Port
	}
	require.Equal(t, map[string]int32{"broker-0-" + bootstrap: 443, "broker-1-" + bootstrap: 443}, hosts)
}

func TestRouterKnowsOnlyAttachedHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Spec{ID: "abc", BootstrapHost: bootstrap})
	dial := func(host string) (net.Conn, error) {
		d := tls.Dialer{Config: &tls.Config{ServerName: host, RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12}}
		return d.DialContext(deadline(t), "tcp", w.router.Addr())
	}
	for _, host := range []string{"other.kafka.sandbox.test", "admin-server-" + bootstrap, "broker-1-" + bootstrap} {
		_, err := dial(host)
		require.Error(t, err, host)
	}
	conn, err := dial(strings.ToUpper(bootstrap[:1]) + bootstrap[1:])
	require.NoError(t, err)
	w.router.Remove("abc")
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "a removed instance keeps its connections")
	require.NoError(t, conn.Close())
	_, err = dial(bootstrap)
	require.Error(t, err)

	again, err := Start(Spec{ID: "abc", BootstrapHost: bootstrap})
	require.NoError(t, err)
	require.NoError(t, w.router.Attach(again))
	second, err := Start(Spec{ID: "def", BootstrapHost: bootstrap})
	require.NoError(t, err)
	defer second.Close()
	require.ErrorContains(t, w.router.Attach(second), "taken")
}

func TestStrayBytesHarmNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Spec{ID: "abc", BootstrapHost: bootstrap})
	for name, text := range map[string]string{
		"http":        "GET / HTTP/1.1\r\nHost: " + bootstrap + "\r\n\r\n",
		"unknown key": "\x00\x00\x00\x0a\x7f\xff\x00\x00\x00\x00\x00\x01\xff\xff",
		"too short":   "\x00\x00\x00\x01aaaaaaaaaaaaaaaa",
		"version":     "\x00\x00\x00\x0a\x00\x03\x7f\xff\x00\x00\x00\x01\xff\xff",
	} {
		conn, err := w.dialer.DialContext(deadline(t), "tcp", bootstrap+":443")
		require.NoError(t, err, name)
		_, err = io.Copy(conn, bytes.NewBufferString(text))
		require.NoError(t, err, name)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		_, err = conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, name)
		require.NoError(t, conn.Close())
	}
	require.NoError(t, w.client(t).Ping(deadline(t)))
}

func TestStartRefusesWhatItCannotRun(t *testing.T) {
	t.Parallel()
	_, err := Start(Spec{ID: "abc"})
	require.ErrorContains(t, err, "bootstrap host")
	_, err = Start(Spec{ID: "abc", BootstrapHost: bootstrap, OAuth: &OAuth{ClaimCheck: "@.a != 'b'"}})
	require.ErrorContains(t, err, "no comparison")
}
