package access

import "time"

// Pace lets tests wait milliseconds where an issuer waits minutes.
type Pace struct{ Refresh, Cooldown, Timeout time.Duration }

// NewPaced is New with another pace.
func NewPaced(c Config, around Surroundings, p Pace) (*Guard, error) {
	return build(c, around, pace{refresh: p.Refresh, cooldown: p.Cooldown, timeout: p.Timeout})
}

// ParseKeys reads a JWKS document and counts its usable keys.
func ParseKeys(raw []byte) (int, error) {
	keys, err := parseKeys(raw)
	return len(keys), err
}
