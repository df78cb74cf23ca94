// Package keycloak administers the OIDC clients of one Keycloak realm: those of
// service accounts, agents and canaries.
//
// It is thin: it knows calls, deadlines, tokens and kinds of failure, and nothing
// of Kafkas or clusters. It does not verify anybody's tokens. Invariant: an
// answer that cannot be understood is a failure, never "there is no such client";
// a deletion would otherwise be closed while the client lives on.
package keycloak

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/Nerzal/gocloak/v13"

	"github.com/kas-fleet/kas-fleet-manager/internal/crash"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

const (
	defaultTimeout = 10 * time.Second
	// maxReply bounds what a broken server can make this process read.
	maxReply = 8 << 20
)

// Realm is where a realm is found.
type Realm struct {
	BaseURL string // without /auth
	Name    string
}

// Issuer is the iss claim of the realm's tokens.
func (r Realm) Issuer() string { return strings.TrimRight(r.BaseURL, "/") + "/auth/realms/" + r.Name }

// CertsURL is where the realm's public keys are.
func (r Realm) CertsURL() string { return r.Issuer() + "/protocol/openid-connect/certs" }

// TokenURL is where the realm gives tokens.
func (r Realm) TokenURL() string { return r.Issuer() + "/protocol/openid-connect/token" }

// Config says which realm to administer, and as whom.
type Config struct {
	Realm        Realm
	ClientID     string
	ClientSecret log.Secret
	Timeout      time.Duration // of each call; 0: ten seconds
	CAFile       string        // PEM, trusted besides the system's; a missing file counts as none
	Insecure     bool          // the server's certificate is not verified
}

// Admin is a client of the realm's admin API. It is safe for concurrent use.
type Admin struct {
	realm   Realm
	timeout time.Duration
	sdk     *gocloak.GoCloak
	tokens  *tokens
}

// New makes the client. It does not call the server yet.
func New(c Config) (*Admin, error) {
	if c.Realm.BaseURL == "" || c.Realm.Name == "" || c.ClientID == "" {
		return nil, errors.New("keycloak needs a base URL, a realm and a client id")
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	trusted, err := trust(c)
	if err != nil {
		return nil, err
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		transport = &http.Transport{}
	}
	transport = transport.Clone()
	transport.TLSClientConfig = trusted
	transport.MaxIdleConnsPerHost = 16
	sdk := gocloak.NewClient(c.Realm.BaseURL, gocloak.SetLegacyWildFlySupport())
	sdk.RestyClient().SetTransport(crash.Transport("keycloak", strict{transport})).SetLogger(silent{}).SetDebug(false).SetDisableWarn(true)
	sdk.RestyClient().GetClient().CheckRedirect = func(*http.Request, []*http.Request) error {
		return errors.New("redirects are not followed") // one could carry the token to another host
	}
	a := &Admin{realm: c.Realm, timeout: c.Timeout, sdk: sdk}
	a.tokens = &tokens{timeout: c.Timeout, login: a.login(c.ClientID, c.ClientSecret)}
	return a, nil
}

// Realm says which realm this is.
func (a *Admin) Realm() Realm { return a.realm }

// Close lets idle connections go.
func (a *Admin) Close() { a.sdk.RestyClient().GetClient().CloseIdleConnections() }

func trust(c Config) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure} //nolint:gosec // the operator's explicit choice
	if c.CAFile == "" {
		return config, nil
	}
	extra, err := os.ReadFile(c.CAFile)
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the CA file of keycloak: %w", err)
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM(extra) {
		return nil, fmt.Errorf("no certificate in the CA file %s", c.CAFile)
	}
	return config, nil
}

// strict refuses replies that the SDK would silently take for empty ones.
type strict struct{ *http.Transport }

func (s strict) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := s.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	reply.Body = http.MaxBytesReader(nil, reply.Body, maxReply)
	media, _, _ := mime.ParseMediaType(reply.Header.Get("Content-Type"))
	succeeded := reply.StatusCode < http.StatusBadRequest
	if succeeded && (reply.StatusCode == http.StatusOK || r.Method == http.MethodGet) && media != "application/json" {
		_ = reply.Body.Close()
		return nil, fmt.Errorf("a reply of type %q, not JSON", media)
	}
	if succeeded && r.Method == http.MethodDelete && reply.StatusCode != http.StatusNoContent {
		_ = reply.Body.Close()
		return nil, fmt.Errorf("status %d for a deletion: something else than the SSO may have answered", reply.StatusCode)
	}
	return reply, nil
}

// silent keeps the SDK from writing to standard error.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}
