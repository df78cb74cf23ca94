package db_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

func TestTextIsWhatPostgreSQLTakes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "plain é", db.Text("plain é"))
	require.Equal(t, "ab", db.Text("a\x00b"))
	require.Equal(t, "ab", db.Text("a\xffb"))
	require.Equal(t, "\uFFFD", db.Text("\uFFFD"), "a replacement character that was sent is a character")
	long := db.Text(strings.Repeat("é", 5000))
	require.Len(t, long, 1024)
	require.True(t, utf8.ValidString(long))
}
