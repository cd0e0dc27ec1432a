# IPv6 services and local addresses: single ones, prefixes, ranges, with ports
$ local 10.9.1.1
$ ipvsadm -A -t [2001:db8::80]:80 -s rr --fullnat
Warning: -t [2001:db8::80]:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t [2001:db8::80]:80 -z ADDRESS'
$ ipvsadm -P -t [2001:db8::80]:80 -z fd00::100
Note: the local address is not an address of this host now; it will be used when it is
$ ipvsadm -P -t [2001:db8::80]:80 -z [fd00::110/126]:2000-3000
Note: 4 of 4 local addresses are not addresses of this host now; they will be used when they are
$ ipvsadm -P -t [2001:db8::80]:80 -z [fd00::200-fd00::203]
Note: 4 of 4 local addresses are not addresses of this host now; they will be used when they are
# over the end of a 16-bit group, of a 32-bit word, and of the network's half
$ ipvsadm -P -t [2001:db8::80]:80 -z fd00::ffff-fd00::1:1
Note: 3 of 3 local addresses are not addresses of this host now; they will be used when they are
$ ipvsadm -P -t [2001:db8::80]:80 -z fd00::ffff:ffff-fd00::1:0:1
Note: 3 of 3 local addresses are not addresses of this host now; they will be used when they are
$ ipvsadm -P -t [2001:db8::80]:80 -z [fd00::ffff:ffff:ffff:ffff-fd00:0:0:1::1]:2000-3000
Note: 3 of 3 local addresses are not addresses of this host now; they will be used when they are
$ ipvsadm -Sn
-A -t [2001:db8::80]:80 -s rr --fullnat
-P -t [2001:db8::80]:80 -z fd00::100
-P -t [2001:db8::80]:80 -z [fd00::110-fd00::113]:2000-3000
-P -t [2001:db8::80]:80 -z fd00::200-fd00::203
-P -t [2001:db8::80]:80 -z fd00::ffff-fd00::1:1
-P -t [2001:db8::80]:80 -z fd00::ffff:ffff-fd00::1:0:1
-P -t [2001:db8::80]:80 -z [fd00::ffff:ffff:ffff:ffff-fd00:0:0:1::1]:2000-3000
# one from the middle of a range, and all of another
$ ipvsadm -Q -t [2001:db8::80]:80 -z fd00::1:0:0
$ ipvsadm -Q -t [2001:db8::80]:80 -z fd00::ffff:ffff:ffff:ffff-fd00:0:0:1::1
$ ipvsadm -Q -t [2001:db8::80]:80 -z fd00::300
no such local address in this pool
[255]
$ ipvsadm -Q -t [2001:db8::80]:80 -z fd00::200-fd00::204
no such local address in this pool
[255]
$ ipvsadm -Q -t [2001:db8::80]:80 -z fd00::200/126
$ ipvsadm -G -t [2001:db8::80]:80
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
[2001:db8::80]:80    10       
                              fd00::100            0          0          1025-65535  0          0          absent
                              fd00::110            0          0          2000-3000   0          0          absent
                              fd00::111            0          0          2000-3000   0          0          absent
                              fd00::112            0          0          2000-3000   0          0          absent
                              fd00::113            0          0          2000-3000   0          0          absent
                              fd00::ffff           0          0          1025-65535  0          0          absent
                              fd00::1:0            0          0          1025-65535  0          0          absent
                              fd00::1:1            0          0          1025-65535  0          0          absent
                              fd00::ffff:ffff      0          0          1025-65535  0          0          absent
                              fd00::1:0:1          0          0          1025-65535  0          0          absent
# of one family: the service, its local addresses, its real servers
$ ipvsadm -P -t [2001:db8::80]:80 -z 10.9.1.1
the local address is not of the service's family
[255]
$ ipvsadm -A -t 10.9.0.1:80 --fullnat
Warning: -t 10.9.0.1:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.1:80 -z ADDRESS'
$ ipvsadm -P -t 10.9.0.1:80 -z fd00::100
the local address is not of the service's family
[255]
$ ipvsadm -Q -t 10.9.0.1:80 -z fd00::100
the local address is not of the service's family
[255]
$ ipvsadm -P -t 10.9.0.2:80 -z fd00::100
the local address is not of the service's family
[255]
$ ipvsadm -a -t [2001:db8::80]:80 -r 10.9.2.1:80
FULLNAT does not mix address families: the real server has to be of the virtual service's
[2]
$ ipvsadm -a -t [2001:db8::80]:80 -r 10.9.2.1:80 -b
FULLNAT does not mix address families: the real server has to be of the virtual service's
[2]
$ ipvsadm -a -t 10.9.0.1:80 -r [2001:db8:2::1]:80 -b
FULLNAT does not mix address families: the real server has to be of the virtual service's
[2]
$ ipvsadm -a -t [2001:db8::80]:80 -r 10.9.2.1:80 -m
Different address family is allowed only for tunneling servers
[2]
$ ipvsadm -a -t [2001:db8::80]:80 -r [2001:db8:2::1]:8080
$ ipvsadm -a -t [2001:db8::80]:80 -r [2001:db8:2::2]:80 -m
$ ipvsadm -e -t [2001:db8::80]:80 -r [2001:db8:2::1]:8080 -w 5
$ ipvsadm -Ln -t [2001:db8::80]:80
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  [2001:db8::80]:80 rr
  -> [2001:db8:2::1]:8080         FullNat 5      0          0         
  -> [2001:db8:2::2]:80           FullNat 1      0          0         
# a mark has a service in each family
$ ipvsadm -A -f 5 --fullnat
Warning: -f 5 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -f 5 -z ADDRESS'
$ ipvsadm -A -f 5 -6 -s rr --fullnat --toa 254
Warning: -f 5 -6 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -f 5 -6 -z ADDRESS'
$ ipvsadm -P -f 5 -6 -z 10.9.1.1
the local address is not of the service's family
[255]
$ ipvsadm -P -f 5 -z fd00::100
the local address is not of the service's family
[255]
$ ipvsadm -P -f 5 -z 10.9.1.1
$ ipvsadm -P -f 5 -6 -z fd00::100
Note: the local address is not an address of this host now; it will be used when it is
$ ipvsadm -a -f 5 -6 -r 10.9.2.1:0
FULLNAT does not mix address families: the real server has to be of the virtual service's
[2]
$ ipvsadm -a -f 5 -r [2001:db8:2::1]:0 -b
FULLNAT does not mix address families: the real server has to be of the virtual service's
[2]
$ ipvsadm -a -f 5 -6 -r [2001:db8:2::1]:0
# the default pool has both
$ ipvsadm -A -u [2001:db8::80]:53 --fullnat
Warning: -u [2001:db8::80]:53 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -u [2001:db8::80]:53 -z ADDRESS'
$ ipvsadm -P -z 10.9.1.1
$ ipvsadm -E -u [2001:db8::80]:53 --fullnat
Warning: -u [2001:db8::80]:53 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -u [2001:db8::80]:53 -z ADDRESS'
$ ipvsadm -P -z fd00::100
Note: the local address is not an address of this host now; it will be used when it is
$ ipvsadm -E -u [2001:db8::80]:53 --fullnat
# kinds of TOA
$ ipvsadm -E -t [2001:db8::80]:80 --fullnat --toa 254
$ ipvsadm -E -t [2001:db8::80]:80 --fullnat --toa 200
unknown TOA kind `200': for an IPv6 service it is one of 253, 254 and off
[2]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --toa 253
unknown TOA kind `253': for an IPv4 service it is one of 200, 254 and off
[2]
$ ipvsadm -Sn
-P -z 10.9.1.1
-P -z fd00::100
-A -t 10.9.0.1:80 -s wlc --fullnat
-A -t [2001:db8::80]:80 -s rr --fullnat --toa 254
-P -t [2001:db8::80]:80 -z fd00::100
-P -t [2001:db8::80]:80 -z [fd00::110-fd00::113]:2000-3000
-P -t [2001:db8::80]:80 -z fd00::ffff-fd00::1:1
-P -t [2001:db8::80]:80 -z fd00::ffff:ffff
-P -t [2001:db8::80]:80 -z fd00::1:0:1
-a -t [2001:db8::80]:80 -r [2001:db8:2::1]:8080 -b -w 5
-a -t [2001:db8::80]:80 -r [2001:db8:2::2]:80 -m -w 1
-A -u [2001:db8::80]:53 -s wlc --fullnat
-A -f 5 -s wlc --fullnat
-P -f 5 -z 10.9.1.1
-A -f 5 -6 -s rr --fullnat --toa 254
-P -f 5 -6 -z fd00::100
-a -f 5 -6 -r [2001:db8:2::1]:0 -b -w 1
$ ipvsadm -E -t [2001:db8::80]:80 --fullnat --toa off --timestamps pass
$ ipvsadm -E -f 5 -6 --fullnat --toa 253
$ ipvsadm -Sn
-P -z 10.9.1.1
-P -z fd00::100
-A -t 10.9.0.1:80 -s wlc --fullnat
-A -t [2001:db8::80]:80 -s rr --fullnat --toa off --timestamps pass
-P -t [2001:db8::80]:80 -z fd00::100
-P -t [2001:db8::80]:80 -z [fd00::110-fd00::113]:2000-3000
-P -t [2001:db8::80]:80 -z fd00::ffff-fd00::1:1
-P -t [2001:db8::80]:80 -z fd00::ffff:ffff
-P -t [2001:db8::80]:80 -z fd00::1:0:1
-a -t [2001:db8::80]:80 -r [2001:db8:2::1]:8080 -b -w 5
-a -t [2001:db8::80]:80 -r [2001:db8:2::2]:80 -m -w 1
-A -u [2001:db8::80]:53 -s wlc --fullnat
-A -f 5 -s wlc --fullnat
-P -f 5 -z 10.9.1.1
-A -f 5 -6 -s rr --fullnat
-P -f 5 -6 -z fd00::100
-a -f 5 -6 -r [2001:db8:2::1]:0 -b -w 1
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              2        
                              10.9.1.1             0          0          1025-65535  0          0          local
                              fd00::100            0          0          1025-65535  0          0          absent
10.9.0.1:80          0        
[2001:db8::80]:80    10       
                              fd00::100            0          0          1025-65535  0          0          absent
                              fd00::110            0          0          2000-3000   0          0          absent
                              fd00::111            0          0          2000-3000   0          0          absent
                              fd00::112            0          0          2000-3000   0          0          absent
                              fd00::113            0          0          2000-3000   0          0          absent
                              fd00::ffff           0          0          1025-65535  0          0          absent
                              fd00::1:0            0          0          1025-65535  0          0          absent
                              fd00::1:1            0          0          1025-65535  0          0          absent
                              fd00::ffff:ffff      0          0          1025-65535  0          0          absent
                              fd00::1:0:1          0          0          1025-65535  0          0          absent
[2001:db8::80]:53    0        UDP
FWM:5                1        
                              10.9.1.1             0          0          1025-65535  0          0          local
FWM:5:IPv6           1        
                              fd00::100            0          0          1025-65535  0          0          absent
$ ipvsadm -D -t [2001:db8::80]:80
$ ipvsadm -D -f 5 -6
$ ipvsadm -Q -z fd00::100
Warning: -u [2001:db8::80]:53 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -u [2001:db8::80]:53 -z ADDRESS'
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s wlc --fullnat
-A -u [2001:db8::80]:53 -s wlc --fullnat
-A -f 5 -s wlc --fullnat
-P -f 5 -z 10.9.1.1
# columns as wide as it takes
$ ipvsadm -C
$ ipvsadm -A -t [2001:db8:1234:5678:9abc:def0:1234:5678]:443 -s rr --fullnat
Warning: -t [2001:db8:1234:5678:9abc:def0:1234:5678]:443 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t [2001:db8:1234:5678:9abc:def0:1234:5678]:443 -z ADDRESS'
$ ipvsadm -P -t [2001:db8:1234:5678:9abc:def0:1234:5678]:443 -z fd12:3456:789a:bcde::1234-fd12:3456:789a:bcde::1235
Note: 2 of 2 local addresses are not addresses of this host now; they will be used when they are
$ ipvsadm -P -z 10.9.1.1
$ ipvsadm -G
VIP:VPORT                                    TOTAL    SNAT_IP                   CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default                                      1        
                                                      10.9.1.1                  0          0          1025-65535  0          0          local
[2001:db8:1234:5678:9abc:def0:1234:5678]:443 2        
                                                      fd12:3456:789a:bcde::1234 0          0          1025-65535  0          0          absent
                                                      fd12:3456:789a:bcde::1235 0          0          1025-65535  0          0          absent
$ ipvsadm -G -t [2001:db8:1234:5678:9abc:def0:1234:5678]:443
VIP:VPORT                                    TOTAL    SNAT_IP                   CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
[2001:db8:1234:5678:9abc:def0:1234:5678]:443 2        
                                                      fd12:3456:789a:bcde::1234 0          0          1025-65535  0          0          absent
                                                      fd12:3456:789a:bcde::1235 0          0          1025-65535  0          0          absent
