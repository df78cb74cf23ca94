package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/keycloak"
	"github.com/kas-fleet/kas-fleet-manager/internal/upstream/redhatsso"
)

// The kinds of SSO.
const (
	MasSSO    = "mas_sso"    // a Keycloak realm that the fleet manager administers
	RedHatSSO = "redhat_sso" // an SSO with an API for service accounts
)

// redHatRealm is the one realm of the other kind.
const redHatRealm = "redhat-external"

// SSO says where the accounts of customers' programs, agents and instances are.
type SSO struct {
	Provider string
	Admin    keycloak.Config  // of mas_sso; Validate reads the credentials
	RedHat   redhatsso.Config // of redhat_sso; Validate reads the credentials

	clientIDFile, clientSecret  string
	redHatURL                   string
	redHatIDFile, redHatKeyFile string
}

// Flags declares the flags.
func (s *SSO) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&s.Provider, "sso-provider-type", MasSSO,
		"kind of SSO server: mas_sso (a Keycloak realm that is administered from here) or redhat_sso (an SSO with a service-accounts API)")
	fs.StringVar(&s.Admin.Realm.BaseURL, "mas-sso-base-url", "", "base URL of the SSO server, without /auth")
	fs.StringVar(&s.Admin.Realm.Name, "mas-sso-realm", "", "realm of service accounts")
	fs.StringVar(&s.clientIDFile, "mas-sso-client-id-file", "secrets/keycloak-service.clientId", "file with the id of the client that administers the realm")
	fs.StringVar(&s.clientSecret, "mas-sso-client-secret-file", "secrets/keycloak-service.clientSecret", "file with the secret of that client")
	fs.StringVar(&s.Admin.CAFile, "mas-sso-cert-file", "secrets/keycloak-service.crt", "PEM file with a CA to trust besides the system's; may be missing")
	fs.BoolVar(&s.Admin.Insecure, "mas-sso-insecure", false, "do not verify the certificate of the SSO server")
	fs.StringVar(&s.redHatURL, "redhat-sso-base-url", "https://sso.redhat.com", "base URL of the SSO server of kind redhat_sso, without /auth")
	fs.StringVar(&s.RedHat.Scope, "redhat-sso-scope", "api.iam.service_accounts", "scope that a token needs which makes accounts of agents and instances there")
	fs.StringVar(&s.redHatIDFile, "redhat-sso-client-id-file", "secrets/redhatsso-service.clientId", "file with the id of the client that makes these accounts")
	fs.StringVar(&s.redHatKeyFile, "redhat-sso-client-secret-file", "secrets/redhatsso-service.clientSecret", "file with the secret of that client")
}

// Validate reads the credentials of the kind that is used, and tells every problem.
func (s *SSO) Validate() error {
	switch s.Provider {
	case MasSSO:
		problems := []error{about("mas-sso-base-url", checkURL(s.Admin.Realm.BaseURL))}
		if s.Admin.Realm.Name == "" {
			problems = append(problems, errors.New("mas-sso-realm: must not be empty"))
		}
		var err error
		s.Admin.ClientID, s.Admin.ClientSecret, err = readClient("mas-sso", s.clientIDFile, s.clientSecret)
		return errors.Join(append(problems, err)...)
	case RedHatSSO:
		s.RedHat.Issuer = s.Realm().Issuer()
		var err error
		s.RedHat.ClientID, s.RedHat.ClientSecret, err = readClient("redhat-sso", s.redHatIDFile, s.redHatKeyFile)
		return errors.Join(about("redhat-sso-base-url", checkURL(s.redHatURL)), err)
	}
	return fmt.Errorf("sso-provider-type: %q is not known, use %s or %s", s.Provider, MasSSO, RedHatSSO)
}

// Realm is the realm of the accounts.
func (s *SSO) Realm() keycloak.Realm {
	if s.Provider == RedHatSSO {
		return keycloak.Realm{BaseURL: strings.TrimRight(s.redHatURL, "/"), Name: redHatRealm}
	}
	return s.Admin.Realm
}

// readClient reads the credentials that flags with a prefix name.
func readClient(prefix, idFile, secretFile string) (string, log.Secret, error) {
	id, idErr := configfile.ReadSecret(idFile)
	if idErr == nil && id == "" {
		idErr = errors.New("the client id is empty")
	}
	secret, err := configfile.ReadSecret(secretFile)
	return id.Reveal(), secret, errors.Join(about(prefix+"-client-id-file", idErr), about(prefix+"-client-secret-file", err))
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%q is not an http or https URL", text)
	}
	return nil
}
