package access

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Served is a request that was answered.
type Served struct {
	Method, Path string // as they came
	Template     string // of the route; empty: there is none
	Status       int    // 0: the connection was cut
	Elapsed      time.Duration
}

// longestPath bounds what a line takes over from a stranger.
const longestPath = 512

// Audit writes down what was asked of the administrators' paths and by whom, if it
// is known by whom: what was refused, too. The context is that of Authorize. The
// lines have a level that no setting leaves out, and neither bodies nor queries.
func Audit(ctx context.Context, logger *slog.Logger, s Served) {
	if s.Path != admins && !strings.HasPrefix(s.Path, admins+"/") {
		return
	}
	who := From(ctx)
	if who.Issuer == "" { // without a good token anybody can say anything
		return
	}
	rule, _ := RuleFor(s.Method, s.Template)
	path := s.Path
	if len(path) > longestPath {
		path = path[:longestPath]
	}
	logger.Log(ctx, log.LevelAudit, "admin request", "type", "audit",
		"username", who.Username, "subject", who.Subject, "issuer", who.Issuer, "roles", who.Roles,
		"action", rule.Action, "method", s.Method, "path", path, "object", variable(s.Template, path),
		"status", s.Status, "elapsed", s.Elapsed.String())
}
