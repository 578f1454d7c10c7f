// Package pki makes the cluster's authority, its certificates and the kubeconfigs that carry them.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

const lifetime = 30 * 24 * time.Hour

// Authority signs for one cluster.
type Authority struct {
	folder      string
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

// Subject is whom a certificate names: a user and its group, and the addresses or names at which it serves.
type Subject struct {
	User, Group string
	Serves      []string
}

// New makes an authority and writes ca.crt into the folder. Its key stays in memory.
func New(folder string) (*Authority, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	template := unsigned(Subject{User: "seatrial test cluster"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	authority := &Authority{folder: folder, key: key, certificate: certificate,
		pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	return authority, os.WriteFile(filepath.Join(folder, "ca.crt"), authority.pem, 0o644)
}

// Issue writes NAME.crt and NAME.key.
func (a *Authority) Issue(name string, subject Subject) error {
	certificate, key, err := a.sign(subject)
	if err != nil {
		return fmt.Errorf("making the certificate of %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(a.folder, name+".crt"), certificate, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.folder, name+".key"), key, 0o600)
}

// Kubeconfig writes a kubeconfig that holds its certificates, so that it can be copied anywhere.
func (a *Authority) Kubeconfig(file, server string, subject Subject) error {
	certificate, key, err := a.sign(subject)
	if err != nil {
		return fmt.Errorf("making the certificate of %s: %w", subject.User, err)
	}
	const name = "seatrial-test"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: server, CertificateAuthorityData: a.pem}
	config.AuthInfos[name] = &api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, file)
}

// ServiceAccountKey writes the key pair that signs service accounts' tokens.
func (a *Authority) ServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of service accounts: %w", err)
	}
	private, err := privatePEM(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(a.folder, "sa.key"), private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.folder, "sa.pub"),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644)
}

func (a *Authority) sign(subject Subject) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, unsigned(subject), a.certificate, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = privatePEM(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, err
}

func unsigned(subject Subject) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: subject.User},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if subject.Group != "" {
		template.Subject.Organization = []string{subject.Group}
	}
	for _, name := range subject.Serves {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return template
}

func privatePEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
