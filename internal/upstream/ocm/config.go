package ocm

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// DefaultTimeout bounds one call, the fetching of a token included.
const DefaultTimeout = 10 * time.Second

// Config says where OCM is and who we are there. Validate reads the files into
// ClientID, ClientSecret and Token; call it only where OCM is used.
type Config struct {
	BaseURL          string
	AMSBaseURL       string // of the account service, which may be another installation
	TokenURL         string
	ClientIDFile     string
	ClientSecretFile string
	TokenFile        string
	Debug            bool // one log line for each call

	ClientID     string
	ClientSecret log.Secret
	Token        log.Secret    // an offline token; counts only without client credentials
	Timeout      time.Duration // zero: DefaultTimeout
}

// Flags registers the flags with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.BaseURL, "ocm-base-url", "https://api-integration.6943.hive-integration.openshiftapps.com", "URL of the OCM cluster service")
	fs.StringVar(&c.AMSBaseURL, "ams-base-url", "https://api.stage.openshift.com", "URL of the OCM account service")
	fs.StringVar(&c.TokenURL, "ocm-token-url", "https://sso.redhat.com/auth/realms/redhat-external/protocol/openid-connect/token", "URL where tokens for OCM are issued")
	fs.StringVar(&c.ClientIDFile, "ocm-client-id-file", "secrets/ocm-service.clientId", "File with the client id for OCM")
	fs.StringVar(&c.ClientSecretFile, "ocm-client-secret-file", "secrets/ocm-service.clientSecret", "File with the client secret for OCM")
	fs.StringVar(&c.TokenFile, "self-token-file", "secrets/ocm-service.token", "File with an offline token for OCM, used when there are no client credentials")
	fs.BoolVar(&c.Debug, "ocm-debug", false, "Log one line for each call to OCM")
}

// Validate reads the credentials and tells every problem. The files of the
// credentials that are not used need not exist.
func (c *Config) Validate() error {
	var problems []error
	for flag, text := range map[string]string{"ocm-base-url": c.BaseURL, "ams-base-url": c.AMSBaseURL, "ocm-token-url": c.TokenURL} {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			problems = append(problems, fmt.Errorf("%s: not an http or https URL", flag))
		}
	}
	id, idErr := read("ocm-client-id-file", c.ClientIDFile, log.Secret(c.ClientID))
	secret, secretErr := read("ocm-client-secret-file", c.ClientSecretFile, c.ClientSecret)
	token, tokenErr := read("self-token-file", c.TokenFile, c.Token)
	c.ClientID, c.ClientSecret, c.Token = id.Reveal(), secret, token
	if !c.complete() {
		problems = append(problems, idErr, secretErr, tokenErr, errNoCredentials)
	}
	return errors.Join(problems...)
}

var errNoCredentials = errors.New("OCM needs a client id with its secret, or an offline token")

func (c *Config) complete() bool {
	return (c.ClientID != "" && c.ClientSecret != "") || c.Token != ""
}

// read gives the file's content, or what is set already when no file is named.
func read(flag, path string, set log.Secret) (log.Secret, error) {
	if path == "" {
		return set, nil
	}
	secret, err := configfile.ReadSecret(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	return secret, nil
}
