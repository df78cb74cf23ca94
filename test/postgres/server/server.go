// Package server runs a private PostgreSQL for tests and the sandbox.
//
// It is for throw-away data on one machine, never for anything that must last
// beyond it. Invariant: it only touches the folder it was given (or the one it
// made in its place) and the server whose data lies there.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	superuser = "postgres"
	stateFile = "server.json"
	// socketLimit is below the shortest length that an operating system allows
	// for the path of a unix socket.
	socketLimit = 90
)

// Options say how to run a server.
type Options struct {
	Dir  string // holds everything; made if absent
	Port int    // on 127.0.0.1; 0 = a free one
	// Fast gives up durability: a crash of the machine may lose the data.
	Fast bool
	// SocketOnly listens on no network port, and lets the folder's owner in
	// without a password.
	SocketOnly bool
	// Connections is how many there may be; 0 = 400.
	Connections int
}

// Server is a PostgreSQL whose data lie in a folder.
type Server struct {
	bin   string
	as    account
	home  string // the folder that state is kept in
	state state
}

// state is what stop and url must know of a server that another process started.
type state struct {
	Data     string `json:"data"`
	Socket   string `json:"socket"`
	Port     int    `json:"port"`
	Password string `json:"password"`
	TCP      bool   `json:"tcp"`
}

// Start makes the data folder if it is not there and starts the server in the
// background, in a session of its own. It returns when the server answers. A
// server that runs already is left as it is.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := at(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	err = s.load()
	if errors.Is(err, fs.ErrNotExist) {
		err = s.create(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	if s.Running(ctx) {
		return s, nil
	}
	return s, s.start(ctx, o)
}

// Open finds the server that Start made in a folder.
func Open(ctx context.Context, dir string) (*Server, error) {
	s, err := at(ctx, dir)
	if err != nil {
		return nil, err
	}
	return s, s.load()
}

func at(ctx context.Context, dir string) (*Server, error) {
	bin, err := Binaries(ctx)
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	home, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the folder: %w", err)
	}
	return &Server{bin: bin, as: as, home: home}, nil
}

func (s *Server) load() error {
	raw, err := os.ReadFile(filepath.Join(s.home, stateFile))
	if err != nil {
		return fmt.Errorf("reading what server runs here: %w", err)
	}
	if err := json.Unmarshal(raw, &s.state); err != nil {
		return fmt.Errorf("reading what server runs here: %w", err)
	}
	if _, err := os.Stat(s.state.Data); err != nil {
		return fmt.Errorf("finding the server's data: %w", err)
	}
	return nil
}

// create makes an empty cluster. Its state file appears last: a folder without it
// is one that was not finished, and is begun anew.
func (s *Server) create(ctx context.Context, o Options) error {
	if err := os.MkdirAll(s.home, 0o755); err != nil {
		return fmt.Errorf("making the server's folder: %w", err)
	}
	place, err := s.as.place(ctx, s.home)
	if err != nil {
		return err
	}
	s.state = state{Data: filepath.Join(place, "data"), Socket: place, Password: rand.Text(), TCP: !o.SocketOnly}
	if len(place) > socketLimit {
		if s.state.Socket, err = s.as.temp("kfm-socket-"); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(s.state.Data); err != nil {
		return fmt.Errorf("removing an unfinished server: %w", err)
	}
	if err := s.initdb(ctx, place); err != nil {
		return err
	}
	return s.note()
}

func (s *Server) note() error {
	raw, err := json.Marshal(s.state)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.home, stateFile), raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("noting the server: %w", err)
	}
	return nil
}

func (s *Server) initdb(ctx context.Context, place string) error {
	password := filepath.Join(place, "password")
	if err := os.WriteFile(password, []byte(s.state.Password), 0o600); err != nil {
		return fmt.Errorf("writing the password: %w", err)
	}
	defer func() { _ = os.Remove(password) }()
	if err := s.as.own(password); err != nil {
		return err
	}
	return s.run(ctx, "initdb", "-D", s.state.Data, "-U", superuser, "--encoding=UTF8", "--locale=C", "--no-sync",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile="+password)
}

func (s *Server) start(ctx context.Context, o Options) error {
	settings := []string{"unix_socket_directories=" + s.state.Socket, "unix_socket_permissions=0700",
		"max_connections=" + strconv.Itoa(cmp.Or(o.Connections, 400)), "shared_buffers=128MB"}
	if o.Fast {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_wal_size=4GB", "checkpoint_timeout=1h", "autovacuum_naptime=1h")
	}
	s.state.Port = o.Port
	if s.state.TCP {
		settings = append(settings, "listen_addresses=127.0.0.1")
		if s.state.Port == 0 {
			var err error
			if s.state.Port, err = freePort(ctx); err != nil {
				return err
			}
		}
	} else {
		settings = append(settings, "listen_addresses=")
		s.state.Port = 5432
	}
	settings = append(settings, "port="+strconv.Itoa(s.state.Port))
	if err := s.note(); err != nil {
		return err
	}
	var options strings.Builder
	for _, setting := range settings {
		fmt.Fprintf(&options, " -c '%s'", setting)
	}
	return s.run(ctx, "pg_ctl", "-D", s.state.Data, "-l", s.log(), "-o", options.String(), "-t", "60", "-w", "start")
}

// Stop ends the server at once. Stopping one that does not run is no error.
func (s *Server) Stop(ctx context.Context) error {
	if !s.Running(ctx) {
		return nil
	}
	return s.run(ctx, "pg_ctl", "-D", s.state.Data, "-m", "fast", "-t", "60", "-w", "stop")
}

// Remove stops the server and removes all that belongs to it.
func (s *Server) Remove(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	for _, path := range []string{filepath.Dir(s.state.Data), s.state.Socket, filepath.Join(s.home, stateFile)} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing the server: %w", err)
		}
	}
	return nil
}

// Running tells whether the server's process lives.
func (s *Server) Running(ctx context.Context) bool {
	return s.command(ctx, "pg_ctl", "-D", s.state.Data, "status").Run() == nil
}

// URL is the server's maintenance database.
func (s *Server) URL() string {
	u := url.URL{Scheme: "postgres", Path: "/postgres"}
	if s.state.TCP {
		u.User = url.UserPassword(superuser, s.state.Password)
		u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.state.Port))
		u.RawQuery = "sslmode=disable"
		return u.String()
	}
	u.RawQuery = url.Values{"host": {s.state.Socket}, "port": {strconv.Itoa(s.state.Port)}, "user": {superuser}}.Encode()
	return u.String()
}

// PID is the process of the running server.
func (s *Server) PID() (int, error) {
	raw, err := os.ReadFile(filepath.Join(s.state.Data, "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("reading the server's pid: %w", err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	return strconv.Atoi(strings.TrimSpace(first))
}

func (s *Server) log() string { return filepath.Join(filepath.Dir(s.state.Data), "postgres.log") }

func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	return s.as.command(ctx, filepath.Dir(s.state.Data), filepath.Join(s.bin, program), args...)
}

// run shows what the program said only when it fails. Its output goes through a
// file, since a server that is left behind keeps a pipe open.
func (s *Server) run(ctx context.Context, program string, args ...string) error {
	out, err := os.CreateTemp("", "kfm-pg-out-")
	if err != nil {
		return fmt.Errorf("running %s: %w", program, err)
	}
	defer func() { _ = out.Close(); _ = os.Remove(out.Name()) }()
	cmd := s.command(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		logged, _ := os.ReadFile(s.log())
		return fmt.Errorf("running %s: %w: %s %s", program, err, tail(said), tail(logged))
	}
	return nil
}

func tail(text []byte) string {
	return strings.TrimSpace(string(text[max(0, len(text)-1000):]))
}

func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("choosing a port: %w", err)
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("choosing a port: unexpected address %s", listener.Addr())
	}
	return address.Port, nil
}
