package configfile

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync/atomic"
	"time"
)

// DefaultInterval is how often a live file is looked at. Mounted configuration
// takes up to a minute to reach a pod, so a few seconds more do not matter.
const DefaultInterval = 5 * time.Second

// Source says where a live value comes from and how it is made.
type Source[T any] struct {
	Path     string
	Fallback Fallback
	// Parse makes and validates the value. The value must not be changed afterwards.
	Parse  func(name string, raw []byte) (T, error)
	Every  time.Duration // zero: DefaultInterval
	Logger *slog.Logger  // nil: slog.Default()
}

// Live is an immutable value made from a file, replaced as a whole when the
// content of the file changes to something valid.
type Live[T any] struct {
	source  Source[T]
	current atomic.Pointer[T]
	seen    [sha256.Size]byte // content that was tried last, good or bad; only Run touches it
	missing bool              // the file could not be read at the last look
}

// NewLive reads the file for the first time. A file that is wrong at start is an
// error; one that becomes wrong later only keeps the old value.
func NewLive[T any](source Source[T]) (*Live[T], error) {
	if source.Every == 0 {
		source.Every = DefaultInterval
	}
	if source.Logger == nil {
		source.Logger = slog.Default()
	}
	raw, name, err := Read(source.Path, source.Fallback)
	if err != nil {
		return nil, err
	}
	value, err := source.Parse(name, raw)
	if err != nil {
		return nil, err
	}
	live := &Live[T]{source: source, seen: sha256.Sum256(raw)}
	live.current.Store(&value)
	return live, nil
}

// Fixed is a live value that has no file and never changes.
func Fixed[T any](value T) *Live[T] {
	live := &Live[T]{}
	live.current.Store(&value)
	return live
}

// Get gives the present value.
func (l *Live[T]) Get() T { return *l.current.Load() }

// Run looks for changes until the context ends. It may run once.
func (l *Live[T]) Run(ctx context.Context) {
	if Path(l.source.Path) == "" {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(l.source.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.look(ctx)
		}
	}
}

// look compares contents, not times: an edit within the resolution of the file's
// time stamp, or a mount whose link was swapped, must not be missed.
func (l *Live[T]) look(ctx context.Context) {
	logger := l.source.Logger.With("file", Path(l.source.Path))
	// The fallback does not count here: a file that is away for a moment while
	// it is replaced must not bring the built-in defaults back.
	raw, name, err := Read(l.source.Path, Fallback{})
	if err != nil {
		if !l.missing && l.hasFile() {
			logger.WarnContext(ctx, "configuration file cannot be read, keeping the last good one", "error", err)
		}
		l.missing = true
		return
	}
	l.missing = false
	sum := sha256.Sum256(raw)
	if sum == l.seen {
		return
	}
	l.seen = sum
	value, err := l.source.Parse(name, raw)
	if err != nil {
		logger.ErrorContext(ctx, "configuration file is invalid, keeping the last good one", "error", err)
		return
	}
	l.current.Store(&value)
	logger.InfoContext(ctx, "configuration file reloaded")
}

// hasFile tells whether the last content came from the file and not from the fallback.
func (l *Live[T]) hasFile() bool { return l.seen != sha256.Sum256(l.source.Fallback.Content) }
