// SPDX-License-Identifier: Apache-2.0
// Go's net/smtp: SendMail does STARTTLS by itself; for TLS from the first octet its users dial themselves. The authority
// is taken from SSL_CERT_FILE.
package main

import (
	"crypto/tls"
	"log"
	"net/smtp"
	"os"
	"strings"
)

func implicit(host, address string, auth smtp.Auth, from string, to []string, message []byte) error {
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: host})
	if err != nil {
		return err
	}
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	defer c.Close()
	if err = c.Auth(auth); err != nil {
		return err
	}
	if err = c.Mail(from); err != nil {
		return err
	}
	for _, one := range to {
		if err = c.Rcpt(one); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err = w.Write(message); err != nil {
		return err
	}
	if err = w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

func main() {
	host := os.Getenv("SP_HOST")
	address := host + ":" + os.Getenv("SP_PORT")
	auth := smtp.PlainAuth("", os.Getenv("SP_USER"), os.Getenv("SP_PASSWORD"), host)
	to := strings.Split(os.Getenv("SP_RECIPIENTS"), ",")
	message, err := os.ReadFile(os.Getenv("SP_EML"))
	if err != nil {
		log.Fatal(err)
	}
	if os.Getenv("SP_TLS") == "implicit" {
		err = implicit(host, address, auth, os.Getenv("SP_FROM"), to, message)
	} else {
		err = smtp.SendMail(address, auth, os.Getenv("SP_FROM"), to, message)
	}
	if err != nil {
		log.Fatal(err)
	}
}
