package access

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/pflag"
)

const (
	defaultKeysFile   = "config/jwks-file.json"
	defaultDenyFile   = "config/deny-list-configuration.yaml"
	defaultAccessFile = "config/access-list-configuration.yaml"
)

// Config is what an operator sets about callers.
type Config struct {
	TokenIssuer    string // issuer of customers' tokens
	KeysURL        string // its keys
	KeysFile       string // backup keys, for the customers' issuer only
	InsecureKeys   bool   // no TLS verification of key downloads
	AllowPlainKeys bool   // http key URLs, for development

	AdminBaseURL string
	AdminRealm   string

	Claims         ClaimNames
	UserAudiences  []string // empty: any audience
	AgentAudiences []string // empty: any audience
	CookieAuth     bool

	EnableDenyList   bool
	DenyListFile     string
	EnableAccessList bool
	AccessListFile   string
	EnableTerms      bool
}

// ClaimNames says which claim of a token means what.
type ClaimNames struct {
	Username          string
	AlternateUsername string
	OrgID             string
	AlternateOrgID    string
	AccountID         string
	OrgAdmin          string
	ClientID          []string // the first that a token has counts
}

// Flags registers the flags with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.TokenIssuer, "token-issuer-url", "https://sso.redhat.com/auth/realms/redhat-external", "issuer of customers' tokens")
	fs.StringVar(&c.KeysURL, "jwks-url", "https://sso.redhat.com/auth/realms/redhat-external/protocol/openid-connect/certs", "where the keys of customers' tokens are")
	fs.StringVar(&c.KeysFile, "jwks-file", defaultKeysFile, "file with backup keys of customers' tokens")
	fs.BoolVar(&c.InsecureKeys, "jwks-verify-insecure", false, "do not verify TLS certificates when keys are downloaded")
	fs.BoolVar(&c.AllowPlainKeys, "jwks-allow-http", false, "allow key URLs without TLS; for development only")
	fs.StringVar(&c.AdminBaseURL, "admin-api-sso-base-url", "https://auth.redhat.com", "base URL of the SSO server of administrators")
	fs.StringVar(&c.AdminRealm, "admin-api-sso-realm", "EmployeeIDP", "realm of administrators")

	fs.StringVar(&c.Claims.Username, "tenant-username-claim", "username", "claim with the name of the user")
	fs.StringVar(&c.Claims.AlternateUsername, "alternate-tenant-username-claim", "preferred_username", "claim with the name of the user where the first is absent")
	fs.StringVar(&c.Claims.OrgID, "tenant-id-claim", "org_id", "claim with the id of the organisation")
	fs.StringVar(&c.Claims.AlternateOrgID, "alternate-tenant-id-claim", "rh-org-id", "claim with the id of the organisation where the first is absent")
	fs.StringVar(&c.Claims.AccountID, "tenant-user-id-claim", "account_id", "claim with the id of the user's account")
	fs.StringVar(&c.Claims.OrgAdmin, "tenant-org-admin-claim", "is_org_admin", "claim that tells whether the user administers the organisation")
	fs.StringSliceVar(&c.Claims.ClientID, "client-id-claims", []string{"clientId", "client_id", "azp"}, "claims with the id of the client, in order of preference")
	fs.StringSliceVar(&c.UserAudiences, "user-token-audiences", nil, "audiences of which customers' tokens must have one; empty: not checked")
	fs.StringSliceVar(&c.AgentAudiences, "agent-token-audiences", nil, "audiences of which agents' tokens must have one; empty: not checked")
	fs.BoolVar(&c.CookieAuth, "enable-cookie-auth", false, "take the token from the cookie cs_jwt where a request has no Authorization header")

	fs.BoolVar(&c.EnableDenyList, "enable-deny-list", false, "refuse the users of the deny list")
	fs.StringVar(&c.DenyListFile, "deny-list-config-file", defaultDenyFile, "file with the user names of the deny list")
	fs.BoolVar(&c.EnableAccessList, "enable-access-list", false, "refuse all organisations but those of the access list")
	fs.StringVar(&c.AccessListFile, "access-list-config-file", defaultAccessFile, "file with the organisation ids of the access list")
	fs.BoolVar(&c.EnableTerms, "enable-terms-acceptance", false, "require accepted terms for creating a Kafka")
}

// Validate reports everything that is wrong with the values.
func (c *Config) Validate() error {
	problems := []error{c.checkIssuer("token-issuer-url", "jwks-url", c.users())}
	if c.AdminBaseURL != "" {
		problems = append(problems, c.checkIssuer("admin-api-sso-base-url", "admin-api-sso-base-url", c.admins()))
		if c.AdminRealm == "" {
			problems = append(problems, errors.New("admin-api-sso-realm: must not be empty"))
		}
	}
	for flag, claim := range map[string]string{
		"tenant-username-claim": c.Claims.Username, "tenant-id-claim": c.Claims.OrgID,
		"tenant-user-id-claim": c.Claims.AccountID, "tenant-org-admin-claim": c.Claims.OrgAdmin,
	} {
		if claim == "" {
			problems = append(problems, fmt.Errorf("%s: must not be empty", flag))
		}
	}
	if len(c.Claims.ClientID) == 0 {
		problems = append(problems, errors.New("client-id-claims: must not be empty"))
	}
	return errors.Join(problems...)
}

func (c *Config) checkIssuer(urlFlag, keysFlag string, issuer Issuer) error {
	if _, err := url.ParseRequestURI(issuer.URL); err != nil {
		return fmt.Errorf("%s: %q is not a URL", urlFlag, issuer.URL)
	}
	if err := issuer.check(c.AllowPlainKeys); err != nil {
		return fmt.Errorf("%s: %w", keysFlag, err)
	}
	return nil
}

func (c *Config) users() Issuer { return Issuer{URL: c.TokenIssuer, KeysURL: c.KeysURL} }

func (c *Config) admins() Issuer { return KeycloakRealm(c.AdminBaseURL, c.AdminRealm) }

// Issuer is somebody whose tokens are known here, and where its keys are.
type Issuer struct {
	URL     string // compared with the claim iss, letter by letter
	KeysURL string
}

// KeycloakRealm gives the issuer that a realm of a Keycloak server is.
func KeycloakRealm(baseURL, realm string) Issuer {
	issuer := strings.TrimSuffix(baseURL, "/") + "/auth/realms/" + realm
	return Issuer{URL: issuer, KeysURL: issuer + "/protocol/openid-connect/certs"}
}

// check refuses key URLs that somebody on the way could answer.
func (i Issuer) check(allowPlain bool) error {
	keys, err := url.Parse(i.KeysURL)
	switch {
	case err != nil || keys.Host == "":
		return fmt.Errorf("%q is not a URL of keys", i.KeysURL)
	case keys.Scheme == "https", keys.Scheme == "http" && allowPlain:
		return nil
	default:
		return fmt.Errorf("keys must come from an https URL, %q is none (jwks-allow-http permits http in development)", i.KeysURL)
	}
}
