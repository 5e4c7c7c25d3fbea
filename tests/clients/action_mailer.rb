# SPDX-License-Identifier: Apache-2.0
# Rails' ActionMailer.
require 'action_mailer'

ActionMailer::Base.logger = nil
implicit = ENV['SP_TLS'] == 'implicit'
ActionMailer::Base.delivery_method = :smtp
ActionMailer::Base.smtp_settings = {
  address: ENV['SP_HOST'], port: ENV['SP_PORT'].to_i, domain: 'client.test',
  user_name: ENV['SP_USER'], password: ENV['SP_PASSWORD'], authentication: :plain,
  tls: implicit, enable_starttls: !implicit, openssl_verify_mode: 'peer', ca_file: ENV['SP_CA']
}

class Check < ActionMailer::Base
  def everything
    content = ENV['SP_CONTENT']
    read = ->(name) { File.read(File.join(content, name), encoding: 'utf-8') }
    attachments.inline['logo.png'] = File.binread(File.join(content, 'logo.png'))
    attachments[ENV['SP_FILE_NAME']] = { mime_type: 'application/pdf',
                                         content: File.binread(File.join(content, 'attachment.pdf')) }
    html = read.('body.html').sub("cid:#{ENV['SP_CID']}", attachments['logo.png'].url)
    mail(from: "Zoë Sender <#{ENV['SP_FROM']}>", to: ENV['SP_TO'].split(','), cc: ENV['SP_CC'], bcc: ENV['SP_BCC'],
         subject: read.('subject.txt')) do |format|
      format.text { render plain: read.('text.txt') }
      format.html { render html: html.html_safe }
    end
  end
end

Check.everything.deliver_now
