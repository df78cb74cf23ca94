package observatorium

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// longest bounds the time of one query: a customer's request has 25 seconds.
const longest = 20 * time.Second

// Config says where the metrics of data planes are and how to get in. There is
// one of two ways: a token refresher, which puts credentials in itself, or the
// gateway, which is shown a token of our own.
type Config struct {
	RefresherURL string
	GatewayURL   string
	Tenant       string

	TokenURL         string
	Audience         string
	ClientIDFile     string
	ClientSecretFile string

	IgnoreTLS bool
	Timeout   time.Duration

	ClientID     string // Validate reads the files
	ClientSecret log.Secret
}

// Flags registers the flags with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.RefresherURL, "observability-red-hat-sso-token-refresher-url", "", "URL of the token refresher in front of the metrics of instances; no credentials are sent to it")
	fs.StringVar(&c.GatewayURL, "observatorium-gateway-url", "", "URL of the Observatorium gateway, where there is no token refresher; the tenant and client credentials are needed too")
	fs.StringVar(&c.Tenant, "observability-red-hat-sso-tenant", "", "tenant of the metrics at the gateway")
	fs.StringVar(&c.TokenURL, "observatorium-token-url", "", "URL where tokens for the gateway are issued")
	fs.StringVar(&c.Audience, "observatorium-audience", "", "audience to ask for in tokens for the gateway; empty: none is asked for")
	fs.StringVar(&c.ClientIDFile, "observatorium-client-id-file", "secrets/observatorium.clientId", "file with the client id for the gateway")
	fs.StringVar(&c.ClientSecretFile, "observatorium-client-secret-file", "secrets/observatorium.clientSecret", "file with the client secret for the gateway")
	fs.BoolVar(&c.IgnoreTLS, "observatorium-ignore-ssl", false, "do not verify the certificate of the token refresher or the gateway")
	fs.DurationVar(&c.Timeout, "observatorium-timeout", longest, "time that one query for metrics may take; more than 20s counts as 20s, since customers are answered within 25s")
}

// Validate reads the credentials where they are used and tells every problem.
func (c *Config) Validate() error {
	var problems []error
	if c.Timeout <= 0 {
		problems = append(problems, errors.New("observatorium-timeout: must be above 0"))
	}
	if c.RefresherURL != "" {
		problems = append(problems, about("observability-red-hat-sso-token-refresher-url", checkURL(c.RefresherURL)))
	}
	if c.GatewayURL == "" {
		return errors.Join(problems...)
	}
	if c.RefresherURL != "" {
		problems = append(problems, errors.New("observatorium-gateway-url: there is a token refresher too; only one of them can be asked"))
	}
	problems = append(problems, about("observatorium-gateway-url", checkURL(c.GatewayURL)), about("observatorium-token-url", checkURL(c.TokenURL)))
	if c.Tenant == "" {
		problems = append(problems, errors.New("observability-red-hat-sso-tenant: the gateway needs one"))
	}
	id, err := configfile.ReadSecret(c.ClientIDFile)
	problems = append(problems, about("observatorium-client-id-file", err))
	c.ClientID = id.Reveal()
	c.ClientSecret, err = configfile.ReadSecret(c.ClientSecretFile)
	problems = append(problems, about("observatorium-client-secret-file", err))
	if errors.Join(problems...) == nil && (c.ClientID == "" || c.ClientSecret == "") {
		problems = append(problems, errors.New("the client id and the client secret for the Observatorium gateway must not be empty"))
	}
	return errors.Join(problems...)
}

// address is where the Prometheus API begins; empty: there is none.
func (c *Config) address() string {
	if c.RefresherURL != "" || c.GatewayURL == "" {
		return c.RefresherURL
	}
	address, err := url.JoinPath(c.GatewayURL, "api/metrics/v1", url.PathEscape(c.Tenant))
	if err != nil {
		return c.GatewayURL // Validate has said so
	}
	return address
}

func (c *Config) timeout() time.Duration {
	if c.Timeout <= 0 {
		return longest
	}
	return min(c.Timeout, longest)
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%q is not an http or https URL", text)
	}
	return nil
}

func about(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}
