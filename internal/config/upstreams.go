package config

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
)

// SSO says which realm holds the clients of service accounts, agents and instances.
type SSO struct {
	Admin keycloak.Config // Validate reads the credentials

	provider                   string
	clientIDFile, clientSecret string
}

// Flags declares the flags.
func (s *SSO) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&s.provider, "sso-provider-type", "mas_sso", "kind of SSO server: mas_sso (Keycloak)")
	fs.StringVar(&s.Admin.Realm.BaseURL, "mas-sso-base-url", "", "base URL of the SSO server, without /auth")
	fs.StringVar(&s.Admin.Realm.Name, "mas-sso-realm", "", "realm of service accounts")
	fs.StringVar(&s.clientIDFile, "mas-sso-client-id-file", "secrets/keycloak-service.clientId", "file with the id of the client that administers the realm")
	fs.StringVar(&s.clientSecret, "mas-sso-client-secret-file", "secrets/keycloak-service.clientSecret", "file with the secret of that client")
	fs.StringVar(&s.Admin.CAFile, "mas-sso-cert-file", "secrets/keycloak-service.crt", "PEM file with a CA to trust besides the system's; may be missing")
	fs.BoolVar(&s.Admin.Insecure, "mas-sso-insecure", false, "do not verify the certificate of the SSO server")
}

// Validate reads the credentials and tells every problem.
func (s *SSO) Validate() error {
	var problems []error
	switch s.provider {
	case "mas_sso":
	case "redhat_sso":
		problems = append(problems, errors.New("sso-provider-type: redhat_sso is not available yet, use mas_sso"))
	default:
		problems = append(problems, fmt.Errorf("sso-provider-type: %q is not known, use mas_sso", s.provider))
	}
	problems = append(problems, about("mas-sso-base-url", checkURL(s.Admin.Realm.BaseURL)))
	if s.Admin.Realm.Name == "" {
		problems = append(problems, errors.New("mas-sso-realm: must not be empty"))
	}
	id, err := configfile.ReadSecret(s.clientIDFile)
	problems = append(problems, about("mas-sso-client-id-file", err))
	if err == nil && id == "" {
		problems = append(problems, errors.New("mas-sso-client-id-file: the client id is empty"))
	}
	s.Admin.ClientID = id.Reveal()
	s.Admin.ClientSecret, err = configfile.ReadSecret(s.clientSecret)
	return errors.Join(append(problems, about("mas-sso-client-secret-file", err))...)
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%q is not an http or https URL", text)
	}
	return nil
}
