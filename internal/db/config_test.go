package db_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

func config(t *testing.T, files map[string]string) db.Config {
	dir := t.TempDir()
	for name, content := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	var c db.Config
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	c.Flags(fs)
	for flag, name := range map[string]string{
		"db-host-file": "host", "db-port-file": "port", "db-name-file": "name", "db-user-file": "user",
		"db-password-file": "password", "db-ssl-certificate-file": "ca",
	} {
		require.NoError(t, fs.Set(flag, filepath.Join(dir, name)))
	}
	require.Equal(t, 50, c.MaxOpenConnections)
	return c
}

func TestConfigFromFiles(t *testing.T) {
	t.Parallel()
	c := config(t, map[string]string{
		"host": "db.example.test\n", "port": " 5432\n", "name": "fleet", "user": "me\n", "password": "p@ss:/? 'w\"%\n",
	})
	require.NoError(t, c.Validate(), "any character may stand in a password")
}

func TestConfigReportsAllProblemsAndNoSecret(t *testing.T) {
	t.Parallel()
	c := config(t, map[string]string{"host": "db.example.test", "port": "54x32", "user": " \n", "password": "hunter2"})
	c.SSLMode = "prefer"
	c.MaxOpenConnections = 0
	err := c.Validate()
	for _, problem := range []string{"db-name-file", "db-port-file", "db-user-file", "db-sslmode", "db-max-open-connections"} {
		require.ErrorContains(t, err, problem)
	}
	require.NotContains(t, err.Error(), "hunter2")
	c.SSLMode = "verify-full"
	require.ErrorContains(t, c.Validate(), "db-ssl-certificate-file")
}

func TestURLTakesThePlaceOfTheFiles(t *testing.T) {
	t.Parallel()
	c := db.Config{URL: "postgres://me:secret@db.example.test/fleet", MaxOpenConnections: 1}
	require.NoError(t, c.Validate())
	for _, broken := range []string{"postgres://me:hunter2@db.example.test:port/x", "hunter2", "postgres://me:hun%ter2@h/x"} {
		c.URL = log.Secret(broken)
		err := c.Validate()
		require.Error(t, err, broken)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestUnreachableDatabaseIsAnErrorWithoutThePassword(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := db.Open(ctx, db.Config{URL: "postgres://me:hunter2@127.0.0.1:1/x", MaxOpenConnections: 1}, nil, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "reaching the database")
	require.NotContains(t, err.Error(), "hunter2")
}
