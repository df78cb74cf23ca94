package server

import (
	"context"
	"fmt"
	"os"
)

// Private is a server that ends with this process, however the process ends.
type Private struct {
	*Server
	// lifeline is the writing end of a pipe. The guard reads the other end: the
	// kernel closes it when this process is gone, a killed one too.
	lifeline *os.File
	options  Options
}

// guardScript waits for the end of its creator, then removes what is there. The
// first argument is the program, the second the data, the third the folder.
const guardScript = `cat >/dev/null; "$1" -D "$2" -m immediate -w stop; rm -rf "$3"`

// StartPrivate starts a server that nobody else knows. Keep the value as long as
// the server is needed.
func StartPrivate(ctx context.Context) (*Private, error) {
	return startPrivate(ctx, Options{Fast: true, SocketOnly: true})
}

func startPrivate(ctx context.Context, o Options) (*Private, error) {
	s, err := at(ctx, "")
	if err != nil {
		return nil, err
	}
	if s.home, err = s.as.temp("kfm-test-"); err != nil {
		return nil, err
	}
	o.Dir = s.home
	p := &Private{Server: s, options: o}
	if err := p.guard(); err != nil {
		return nil, err
	}
	if err := p.create(ctx, o); err != nil {
		return nil, err
	}
	return p, p.start(ctx, o)
}

// guard is there before the server is, so that no moment is unguarded.
func (p *Private) guard() error {
	reading, writing, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("guarding the server: %w", err)
	}
	defer func() { _ = reading.Close() }()
	p.lifeline = writing
	// Not bound to a context: it must outlive this process.
	cmd := p.as.command(context.Background(), "/", "/bin/sh", "-c", guardScript, "sh",
		p.bin+"/pg_ctl", p.home+"/server/data", p.home)
	cmd.Stdin = reading
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("guarding the server: %w", err)
	}
	return nil
}
