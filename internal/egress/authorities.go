package egress

import (
	"crypto/x509"
	"fmt"
	"os"
)

// LoadAuthorities reads the setting egress.ca: a file of PEM certificates that
// are trusted beside the system's.
func LoadAuthorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("egress.ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // there is none: those of the file alone
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("egress.ca: %s holds no certificate in PEM, a block of BEGIN CERTIFICATE", path)
	}
	return pool, nil
}
