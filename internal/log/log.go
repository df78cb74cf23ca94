// Package log makes the process's slog logger and keeps secrets out of it.
//
// It is for structured lines with constant messages, those of the audit included.
// It is not for metrics. Invariant: a Secret never prints its value, whatever the
// verb or format, and no level leaves out the audit.
package log

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
)

// Redacted is what stands in the place of a secret.
const Redacted = "REDACTED"

// Secret is a text that no log line, error, format verb or JSON shows.
// Reveal it only where it leaves the process on purpose.
type Secret string

// Reveal gives the plain text.
func (s Secret) Reveal() string { return string(s) }

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return Redacted
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// Format hides the value from every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the value from JSON, YAML and other encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

type attrsKey struct{}

// With adds attributes (key, value, …) to every line that is logged with the context.
func With(ctx context.Context, args ...any) context.Context {
	record := slog.Record{}
	record.Add(args...)
	attrs := append([]slog.Attr{}, fromContext(ctx)...)
	record.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	return context.WithValue(ctx, attrsKey{}, attrs)
}

func fromContext(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return attrs
}

// LevelAudit is that of lines about what administrators did. They are written
// whatever level is set.
const LevelAudit = slog.Level(math.MaxInt32)

// New makes a JSON logger for the writer. The level can be changed while it runs.
func New(w io.Writer, level slog.Leveler) *slog.Logger {
	out := &oneAtATime{to: w}
	return slog.New(handler{
		Handler: slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}),
		audit:   slog.NewJSONHandler(out, &slog.HandlerOptions{Level: LevelAudit, ReplaceAttr: nameLevel}),
	})
}

// oneAtATime keeps the lines of two handlers apart.
type oneAtATime struct {
	mu sync.Mutex
	to io.Writer
}

func (o *oneAtATime) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(line)
}

// nameLevel gives the level of the audit its name; slog would count from ERROR.
func nameLevel(_ []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey && level == LevelAudit {
		a.Value = slog.StringValue("AUDIT")
	}
	return a
}

// handler adds the context's attributes to each line. Lines of the audit have a
// handler of their own: to look for the level in every line costs as much as the line.
type handler struct {
	slog.Handler
	audit slog.Handler
}

func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level == LevelAudit || h.Handler.Enabled(ctx, level)
}

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(fromContext(ctx)...)
	if r.Level == LevelAudit {
		return h.audit.Handle(ctx, r)
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.audit.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.audit.WithGroup(name)}
}
