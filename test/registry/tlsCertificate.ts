// A certificate for registry.test and blobs.test, signed by itself and good for nothing but tests, until 2126. Not a test.
// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=registry.test
//   -addext subjectAltName=DNS:registry.test,DNS:blobs.test

export const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgmrEvXej0e3izwEQc
Zf3+5yJbBdpnmyznig3FfYjsd7ChRANCAATtKLyyffE7O6CpPHG8XNjnqXp5vWMr
V4ll8GVia/e5tEat1hx5kYziyobEHDsqoAovRsmeWI7wXi516RASxr9R
-----END PRIVATE KEY-----
`

export const certificate = `-----BEGIN CERTIFICATE-----
MIIBrTCCAVOgAwIBAgIUbuH3PlE/i2sZ5dekpynUgy3i8ZcwCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNcmVnaXN0cnkudGVzdDAgFw0yNjExMjQwMDA2MjlaGA8yMTI2
MTAzMTAwMDYyOVowGDEWMBQGA1UEAwwNcmVnaXN0cnkudGVzdDBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABO0ovLJ98Ts7oKk8cbxc2Oepenm9YytXiWXwZWJr97m0
Rq3WHHmRjOLKhsQcOyqgCi9GyZ5YjvBeLnXpEBLGv1GjeTB3MB0GA1UdDgQWBBTA
JBvrKiy0/77lVu08ic1fGnxP1zAfBgNVHSMEGDAWgBTAJBvrKiy0/77lVu08ic1f
GnxP1zAPBgNVHRMBAf8EBTADAQH/MCQGA1UdEQQdMBuCDXJlZ2lzdHJ5LnRlc3SC
CmJsb2JzLnRlc3QwCgYIKoZIzj0EAwIDSAAwRQIhAI/elV8J5jKV/au2nT7jY7ji
qnbzOmspetKbC0cHUjiwAiAUcizGa60WJ4bnsooFYb5YnHkI5XOuL+vuX7iw5i8v
Mw==
-----END CERTIFICATE-----
`
