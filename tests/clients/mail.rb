# SPDX-License-Identifier: Apache-2.0
# The mail gem.
require 'mail'

content = ENV['SP_CONTENT']
read = ->(name) { File.read(File.join(content, name), encoding: 'utf-8') }
binary = ->(name) { File.binread(File.join(content, name)) }
implicit = ENV['SP_TLS'] == 'implicit'

Mail.defaults do
  delivery_method :smtp, address: ENV['SP_HOST'], port: ENV['SP_PORT'].to_i, domain: 'client.test',
                         user_name: ENV['SP_USER'], password: ENV['SP_PASSWORD'], authentication: 'login',
                         tls: implicit, enable_starttls: !implicit,
                         openssl_verify_mode: 'peer', ca_file: ENV['SP_CA']
end

mail = Mail.new(charset: 'UTF-8')
mail.from = "Zoë Sender <#{ENV['SP_FROM']}>"
mail.to = ENV['SP_TO'].split(',')
mail.cc = ENV['SP_CC']
mail.bcc = ENV['SP_BCC']
mail.subject = read.('subject.txt')
mail.attachments.inline['logo.png'] = binary.('logo.png')
cid = mail.attachments['logo.png'].url
mail.attachments[ENV['SP_FILE_NAME']] = { mime_type: 'application/pdf', content: binary.('attachment.pdf') }
mail.text_part = Mail::Part.new { content_type 'text/plain; charset=UTF-8'; body read.('text.txt') }
html = read.('body.html').sub("cid:#{ENV['SP_CID']}", cid)
mail.html_part = Mail::Part.new { content_type 'text/html; charset=UTF-8'; body html }
mail.deliver!
