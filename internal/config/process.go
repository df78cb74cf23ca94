package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/spf13/pflag"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Secrets says what protects secrets in the database.
type Secrets struct {
	KeyFile string
	Keyring *db.Keyring // Validate reads it
}

// Flags declares the flags.
func (s *Secrets) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&s.KeyFile, "secret-encryption-key-file", "secrets/encryption.keys",
		"file with lines \"key id:base64 of 32 bytes\"; the first key encrypts secrets in the database, all decrypt them")
}

// Validate reads the keys.
func (s *Secrets) Validate() error {
	text, err := configfile.ReadSecret(s.KeyFile)
	if err == nil {
		s.Keyring, err = db.ParseKeyring(text.Reveal())
	}
	return about("secret-encryption-key-file", err)
}

// Log says how much is logged.
type Log struct{ level string }

// Flags declares the flags.
func (l *Log) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&l.level, "log-level", "info", "least level of log lines: debug, info, warn or error")
}

// Validate checks the name of the level.
func (l *Log) Validate() error {
	var level slog.Level
	if level.UnmarshalText([]byte(l.level)) != nil {
		return fmt.Errorf("log-level: %q is none of debug, info, warn, error", l.level)
	}
	return nil
}

// Level is the level of a valid configuration, info otherwise.
func (l *Log) Level() slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.level)) // Validate tells
	return level
}

// Sentry says where errors are reported.
type Sentry struct {
	Enabled bool
	Timeout time.Duration
	Debug   bool
	DSN     log.Secret // Validate makes it

	keyFile, host, project string
}

// Flags declares the flags.
func (s *Sentry) Flags(fs *pflag.FlagSet) {
	fs.BoolVar(&s.Enabled, "enable-sentry", false, "report errors to Sentry")
	fs.StringVar(&s.keyFile, "sentry-key-file", "secrets/sentry.key", "file with the key of the Sentry project")
	fs.StringVar(&s.host, "sentry-url", "", "host of the Sentry server")
	fs.StringVar(&s.project, "sentry-project", "", "id of the Sentry project")
	fs.DurationVar(&s.Timeout, "sentry-timeout", 5*time.Second, "how long the last reports may take at the end")
	fs.BoolVar(&s.Debug, "enable-sentry-debug", false, "let the Sentry client log what it does")
}

// Validate reads the key where reporting is on.
func (s *Sentry) Validate() error {
	if !s.Enabled {
		return nil
	}
	var problems []error
	key, err := configfile.ReadSecret(s.keyFile)
	if err == nil && key == "" {
		err = errors.New("the key is empty")
	}
	problems = append(problems, about("sentry-key-file", err))
	if s.host == "" {
		problems = append(problems, errors.New("sentry-url: is required by enable-sentry"))
	}
	if s.project == "" {
		problems = append(problems, errors.New("sentry-project: is required by enable-sentry"))
	}
	dsn := url.URL{Scheme: "https", User: url.User(key.Reveal()), Host: s.host, Path: "/" + s.project}
	s.DSN = log.Secret(dsn.String())
	return errors.Join(problems...)
}
