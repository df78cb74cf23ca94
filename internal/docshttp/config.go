package docshttp

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// Config is what an operator chooses about the page.
type Config struct {
	// ClientID is the public client by which people log in on the page; empty: they paste a token.
	ClientID string
}

// Flags declares the flags with their defaults.
func (c *Config) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.ClientID, "api-docs-client-id", "",
		"public client (authorization code with PKCE) at the customers' issuer for logins on the page of the API documents; empty: no login there")
}

// Validate tells what is wrong.
func (c *Config) Validate() error {
	if strings.TrimSpace(c.ClientID) != c.ClientID {
		return errors.New("api-docs-client-id: must not begin or end with a space")
	}
	return nil
}
